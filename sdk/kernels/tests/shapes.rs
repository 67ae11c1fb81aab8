//! Weights that do not fit together are refused when the matrix is made.

use half::f16;
use kinglet_kernels::{BlockWeights, FloatWeights, Floats, IntegerWeights, Layout, Matrix, ShapeError, ZeroPoints};

const BLOCKS: BlockWeights<'static> = BlockWeights {
    bits: 4,
    n: 2,
    k: 33,
    block: 32,
    packed: &[0; 64],
    scales: Floats::F32(&[1.; 4]),
    zero_points: ZeroPoints::Packed(&[0; 2]),
};

#[test]
fn the_sizes_in_the_documentation_are_accepted() {
    let matrix = Matrix::blocks(BLOCKS).unwrap();
    assert_eq!((matrix.n(), matrix.k()), (2, 33));
    Matrix::blocks(BlockWeights { bits: 8, packed: &[0; 128], zero_points: ZeroPoints::Packed(&[0; 4]), ..BLOCKS }).unwrap();
    Matrix::blocks(BlockWeights { scales: Floats::F16(&[f16::ONE; 4]), zero_points: ZeroPoints::Middle, ..BLOCKS }).unwrap();
    Matrix::blocks(BlockWeights { bits: 2, packed: &[0; 32], ..BLOCKS }).unwrap();
    Matrix::blocks(BlockWeights { zero_points: ZeroPoints::Floats(Floats::F32(&[8.; 4])), ..BLOCKS }).unwrap();
    let scales = Floats::F32(&[1.; 2]);
    Matrix::blocks(BlockWeights { block: 512, packed: &[0; 512], scales, ..BLOCKS }).unwrap();
}

#[test]
fn block_weights_of_other_sizes_are_refused() {
    struct Case {
        weights: BlockWeights<'static>,
        error: ShapeError,
    }
    let length = |part, expected, found| ShapeError::Length { part, n: 2, k: 33, expected, found };
    for Case { weights, error } in [
        Case { weights: BlockWeights { bits: 3, ..BLOCKS }, error: ShapeError::Bits { bits: 3 } },
        Case { weights: BlockWeights { bits: 16, ..BLOCKS }, error: ShapeError::Bits { bits: 16 } },
        Case { weights: BlockWeights { block: 8, ..BLOCKS }, error: ShapeError::Block { block: 8 } },
        Case { weights: BlockWeights { block: 48, ..BLOCKS }, error: ShapeError::Block { block: 48 } },
        Case { weights: BlockWeights { block: 1 << 17, ..BLOCKS }, error: ShapeError::Block { block: 1 << 17 } },
        Case { weights: BlockWeights { packed: &[0; 63], ..BLOCKS }, error: length("packed data", 64, 63) },
        Case { weights: BlockWeights { scales: Floats::F32(&[1.; 5]), ..BLOCKS }, error: length("scales", 4, 5) },
        Case { weights: BlockWeights { zero_points: ZeroPoints::Packed(&[0; 4]), ..BLOCKS }, error: length("zero points", 2, 4) },
        Case {
            weights: BlockWeights { zero_points: ZeroPoints::Floats(Floats::F32(&[8.; 2])), ..BLOCKS },
            error: length("zero points", 4, 2),
        },
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

    let integers = |bits: usize, block: [usize; 2], [data, scales, zero_points]: [usize; 3]| {
        let (data, zero_points) = (&[0; 10][..data], Some(&[0; 10][..zero_points]));
        let scales = Floats::F32(&[0.; 10][..scales]);
        Matrix::integers(IntegerWeights { bits, data, signed: true, layout, n: 3, k: 3, block, scales, zero_points })
    };
    for (bits, block, lengths) in [
        (8, [3, 3], [9, 1, 1]),
        (8, [1, 3], [9, 3, 3]),
        (8, [3, 1], [9, 3, 3]),
        (4, [1, 2], [5, 6, 3]),
        (4, [1, 3], [5, 3, 2]),
        (4, [2, 2], [5, 4, 2]),
        (2, [1, 2], [3, 6, 2]),
    ] {
        assert!(integers(bits, block, lengths).is_ok(), "{bits} bits, {block:?}");
        for (part, change) in [(0, -1), (0, 1), (1, -1), (1, 1), (2, -1), (2, 1)] {
            let mut wrong = lengths;
            wrong[part] = wrong[part].saturating_add_signed(change);
            assert!(integers(bits, block, wrong).is_err(), "{bits} bits, {block:?}, {wrong:?}");
        }
    }
    assert!(integers(8, [1, 0], [9, 3, 3]).is_err() && integers(8, [0, 1], [9, 3, 3]).is_err());
    assert!(integers(3, [3, 3], [4, 1, 1]).is_err() && integers(16, [3, 3], [9, 1, 1]).is_err());
}

#[test]
fn the_message_names_the_part_and_both_lengths() {
    let error = Matrix::blocks(BlockWeights { packed: &[0; 63], ..BLOCKS }).unwrap_err();
    let text = "the packed data of weights [n = 2, k = 33] must hold 64 values and holds 63; check the tensor's shape";
    assert_eq!(error.to_string(), text);
}
