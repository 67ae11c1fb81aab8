//! The one error of this crate: buffers and dimensions that do not fit together.

/// Why weights, a cache layout or an arena were refused. Every check happens when the value is made; products and attention
/// over accepted values cannot fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A dimension is zero.
    #[error("the {what} has a dimension of zero; give every dimension at least one")]
    Empty {
        /// Which thing.
        what: &'static str,
    },
    /// The dimensions multiply to more than can be addressed or allocated.
    #[error("the {what} is larger than this machine can hold; reduce its dimensions")]
    TooLarge {
        /// Which thing.
        what: &'static str,
    },
    /// A buffer has another length than the dimensions ask for.
    #[error("the {part} of weights [n = {n}, k = {k}] must hold {expected} values and holds {found}; check the tensor's shape")]
    Length {
        /// Which buffer.
        part: &'static str,
        /// Output features.
        n: usize,
        /// Input features.
        k: usize,
        /// How many values (bytes for packed data) the dimensions ask for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A bit width that has no kernel.
    #[error("quantised weights of {bits} bits are not supported; use 2, 4 or 8 bits")]
    Bits {
        /// The width asked for.
        bits: usize,
    },
    /// A block length that has no kernel.
    #[error("blocks of {block} weights are not supported; use a power of two from 16 to 65536")]
    Block {
        /// The length asked for.
        block: usize,
    },
    /// A page length that has no kernel.
    #[error("pages of {positions} positions are not supported; use 32 or 64")]
    PagePositions {
        /// The length asked for.
        positions: usize,
    },
    /// A head size that has no kernel.
    #[error("a head of {dim} values is not supported; head sizes are multiples of 4 up to 1024")]
    HeadDim {
        /// The size asked for.
        dim: usize,
    },
}

/// The product of dimensions, or [`ShapeError::TooLarge`].
pub(crate) fn elements(what: &'static str, dims: &[usize]) -> Result<usize, ShapeError> {
    dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim)).ok_or(ShapeError::TooLarge { what })
}
