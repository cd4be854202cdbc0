//! Access against a slow reference.
