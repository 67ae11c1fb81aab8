//! The committed `MatMulNBits` products, which ONNX Runtime agreed with, on every instruction set: blocks of every size, 2, 4 and 8
//! bits, without zero points, with whole ones and with floats, and a last block that is not full.

mod support;

use kinglet_kernels::{Activations, BlockWeights, Floats, Linear, Matrix, Scratch, linear};
use kinglet_testing::{GoldenProduct, ZeroPoints, compare, golden_products};
use support::each_isa;

/// Float sums, and activations rounded to 8 bits: the largest difference, as a part of the largest output.
const LARGEST: [(Activations, f32); 2] = [(Activations::Exact, 2e-6), (Activations::Int8, 0.02)];

fn matrix(product: &GoldenProduct) -> Matrix<'_> {
    let zero_points = match &product.zero_points {
        ZeroPoints::None => kinglet_kernels::ZeroPoints::Middle,
        ZeroPoints::Packed(bytes) => kinglet_kernels::ZeroPoints::Packed(bytes),
        ZeroPoints::Floats(values) => kinglet_kernels::ZeroPoints::Floats(Floats::F32(values)),
    };
    let weights = BlockWeights {
        bits: product.bits,
        n: product.n,
        k: product.k,
        block: product.block,
        packed: &product.packed,
        scales: Floats::F32(&product.scales),
        zero_points,
    };
    Matrix::blocks(weights).unwrap()
}

fn worst(product: &GoldenProduct, pool: &kinglet_kernels::Pool, activations: Activations) -> f32 {
    let part = Linear { weight: matrix(product), bias: product.bias.as_deref() };
    let mut y = vec![f32::NAN; product.y.len()];
    linear(pool, &mut Scratch::new(), &[part], &product.a, &mut y, activations);
    compare(&y, &product.y).relative()
}

#[test]
fn products_are_onnx_runtimes() {
    let products = golden_products().unwrap();
    let mut compared = 0;
    for product in &products {
        each_isa(2, |pool| {
            for (activations, largest) in LARGEST {
                let found = worst(product, pool, activations);
                let GoldenProduct { bits, block, zero_points, .. } = product;
                let what = format!("{bits} bits, block {block}, {zero_points:?}, {activations:?}, {}", pool.isa());
                assert!(found <= largest, "{what}: {found:.1e} of the largest output");
                compared += 1;
            }
        });
    }
    assert!(compared >= 2 * 20, "only {compared} of {} products", products.len());
}

#[test]
fn another_zero_point_is_noticed() {
    for mut product in golden_products().unwrap() {
        match &mut product.zero_points {
            ZeroPoints::None => continue,
            ZeroPoints::Packed(points) => points[0] ^= 1,
            ZeroPoints::Floats(points) => points[0] += 0.01,
        }
        each_isa(1, |pool| assert!(worst(&product, pool, Activations::Exact) > LARGEST[0].1));
    }
}
