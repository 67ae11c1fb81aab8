//! Why a graph, or a part of one, could not be evaluated.

/// Why a value could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// A node is of a type, or has an attribute, that the interpreter does not know.
    #[error("node `{node}` ({op_type}): {reason}")]
    Unsupported {
        /// The node's label.
        node: String,
        /// Its operator.
        op_type: String,
        /// Description of what is unsupported.
        reason: String,
    },
    /// A node's operands do not fit the operator.
    #[error("node `{node}` ({op_type}): {reason}")]
    Operands {
        /// The node's label.
        node: String,
        /// Its operator.
        op_type: String,
        /// Description of the mismatch.
        reason: String,
    },
    /// Nothing makes a value, and it was not given.
    #[error("nothing makes `{0}`, and it was not given")]
    Missing(String),
    /// More elements or work than allowed.
    #[error("more than {0} would be needed")]
    TooLarge(String),
}
