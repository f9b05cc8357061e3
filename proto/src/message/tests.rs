//! How requests are read and written.
