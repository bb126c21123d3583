//! The Turing domain: posting, workflow and conversation as pure decisions and folds
