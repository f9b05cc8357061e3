//! What objects accept, refuse and write.
