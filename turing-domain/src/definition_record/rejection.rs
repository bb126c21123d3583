//! Why a definition is not recorded.

/// Why a definition is not recorded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionRejection {
    /// The text is not the one that the digest is of.
    #[error(
        "the text of the definition has the SHA-256 {found}, not {digest}; read its file again"
    )]
    OtherText {
        /// The digest that was given.
        digest: String,
        /// The digest of the text.
        found: String,
    },
    /// No store keeps the text.
    #[error("the text of the definition contains U+0000, which no store keeps; remove it")]
    Unstorable,
}
