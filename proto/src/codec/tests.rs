//! What the codec must bear.
