//! Floods: whoever sends too much, or takes nothing back, holds up nobody else.

mod requests;
mod shares;
mod silent;
mod untaken;
