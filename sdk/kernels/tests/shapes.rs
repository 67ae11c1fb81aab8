//! Weights that do not fit together are refused when the matrix is made.

use half::f16;
use kinglet_kernels::{BlockWeights, FloatWeights, Floats, IntegerWeights, Layout, Matrix, NibbleWeights, ShapeError};

const BLOCKS: BlockWeights<'static> =
    BlockWeights { bits: 4, n: 2, k: 33, block: 32, packed: &[0; 64], scales: Floats::F32(&[1.; 4]), zero_points: Some(&[0; 2]) };

#[test]
fn the_sizes_in_the_documentation_are_accepted() {
    let matrix = Matrix::blocks(BLOCKS).unwrap();
    assert_eq!((matrix.n(), matrix.k()), (2, 33));
    Matrix::blocks(BlockWeights { bits: 8, packed: &[0; 128], zero_points: Some(&[0; 4]), ..BLOCKS }).unwrap();
    Matrix::blocks(BlockWeights { scales: Floats::F16(&[f16::ONE; 4]), zero_points: None, ..BLOCKS }).unwrap();
}

#[test]
fn block_weights_of_other_sizes_are_refused() {
    struct Case {
        weights: BlockWeights<'static>,
        error: ShapeError,
    }
    let length = |part, expected, found| ShapeError::Length { part, n: 2, k: 33, expected, found };
    for Case { weights, error } in [
        Case { weights: BlockWeights { bits: 2, ..BLOCKS }, error: ShapeError::Bits { bits: 2 } },
        Case { weights: BlockWeights { block: 8, ..BLOCKS }, error: ShapeError::Block { block: 8 } },
        Case { weights: BlockWeights { block: 48, ..BLOCKS }, error: ShapeError::Block { block: 48 } },
        Case { weights: BlockWeights { block: 512, ..BLOCKS }, error: ShapeError::Block { block: 512 } },
        Case { weights: BlockWeights { packed: &[0; 63], ..BLOCKS }, error: length("packed data", 64, 63) },
        Case { weights: BlockWeights { scales: Floats::F32(&[1.; 5]), ..BLOCKS }, error: length("scales", 4, 5) },
        Case { weights: BlockWeights { zero_points: Some(&[0; 4]), ..BLOCKS }, error: length("zero points", 2, 4) },
        Case { weights: BlockWeights { n: 0, ..BLOCKS }, error: ShapeError::Empty { what: "weight matrix" } },
        Case { weights: BlockWeights { k: usize::MAX, ..BLOCKS }, error: ShapeError::TooLarge { what: "weight matrix" } },
    ] {
        assert_eq!(Matrix::blocks(weights).unwrap_err(), error, "{weights:?}");
    }
}

#[test]
fn other_weights_of_other_sizes_are_refused() {
    let layout = Layout::Kn;
    let float = |len: usize| Matrix::float(FloatWeights { data: Floats::F32(&[0.; 9][..len]), layout, n: 2, k: 3 });
    assert!(float(6).is_ok() && float(5).is_err() && float(7).is_err());

    let integers = |data: usize, scales: usize, zero_points: usize| {
        let (data, scales, zero_points) = (&[0; 9][..data], &[0.; 9][..scales], Some(&[0; 9][..zero_points]));
        Matrix::integers(IntegerWeights { data, signed: true, layout, n: 2, k: 3, scales, zero_points })
    };
    assert!(integers(6, 1, 1).is_ok() && integers(6, 2, 1).is_ok() && integers(6, 1, 2).is_ok());
    assert!(integers(5, 1, 1).is_err() && integers(6, 3, 1).is_err() && integers(6, 1, 3).is_err() && integers(6, 0, 1).is_err());

    let nibbles = |data: usize, block: usize, scales: usize, zero_points: usize| {
        let (data, scales, zero_points) = (&[0; 9][..data], Floats::F32(&[0.; 9][..scales]), Some(&[0; 9][..zero_points]));
        Matrix::nibbles(NibbleWeights { data, signed: false, layout, n: 3, k: 3, block, scales, zero_points })
    };
    assert!(nibbles(5, 2, 6, 3).is_ok() && nibbles(5, 3, 3, 2).is_ok());
    assert!(nibbles(4, 2, 6, 3).is_err() && nibbles(5, 2, 3, 3).is_err() && nibbles(5, 2, 6, 2).is_err());
    assert!(nibbles(5, 0, 6, 3).is_err());
}

#[test]
fn the_message_names_the_part_and_both_lengths() {
    let error = Matrix::blocks(BlockWeights { packed: &[0; 63], ..BLOCKS }).unwrap_err();
    let text = "the packed data of weights [n = 2, k = 33] must hold 64 values and holds 63; check the tensor's shape";
    assert_eq!(error.to_string(), text);
}
