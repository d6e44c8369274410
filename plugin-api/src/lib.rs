//! What a learning-rule author sees.
