//! Elementary functions over vectors.

use crate::product::GateActivation;
use crate::simd::Simd;

/// e^x, within 2 units in the last place for results from 2^-126 to 2^127.5; below that range zero, above it infinity. NaN stays
/// NaN.
///
/// Cody and Waite: `x = n ln 2 + r` with whole n and |r| <= ln 2 / 2, ln 2 in two parts so that the product with n is exact; a
/// polynomial for e^r (the coefficients are those of the Cephes library); n goes into the exponent.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    const LOW: f32 = -87.336_54;
    const HIGH: f32 = 88.376_26;
    let clamped = s.max(s.splat(LOW), s.min(s.splat(HIGH), x));
    let n = s.round(s.mul(clamped, s.splat(std::f32::consts::LOG2_E)));
    let r = s.mul_add(n, s.splat(-0.693_359_4), clamped);
    let r = s.mul_add(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_66, 0.5] {
        p = s.mul_add(p, r, s.splat(coefficient));
    }
    let p = s.add(s.mul_add(s.mul(p, r), r, r), s.splat(1.));
    let y = s.times_power_of_two(p, n);
    let y = s.select_less(x, s.splat(LOW), s.splat(0.), y);
    s.select_less(s.splat(HIGH), x, s.splat(f32::INFINITY), y)
}

/// tanh x, within 4 units in the last place.
///
/// A polynomial in x^2 below 0.625 (the coefficients are those of the Cephes library), `1 - 2 / (e^2x + 1)` above.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let square = s.mul(x, x);
    let mut p = s.splat(-5.704_988_7e-3);
    for coefficient in [2.063_908_8e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8] {
        p = s.mul_add(p, square, s.splat(coefficient));
    }
    let small = s.mul_add(s.mul(p, square), x, x);
    let magnitude = s.abs(x);
    let large = s.sub(s.splat(1.), s.div(s.splat(2.), s.add(exp(s, s.add(magnitude, magnitude)), s.splat(1.))));
    let large = s.select_less(x, s.splat(0.), s.sub(s.splat(0.), large), large);
    s.select_less(magnitude, s.splat(0.625), small, large)
}

/// 1 / (1 + e^-x)
#[inline(always)]
fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    s.div(s.splat(1.), s.add(s.splat(1.), exp(s, s.sub(s.splat(0.), x))))
}

/// The normal distribution function, `(1 + erf(x / sqrt 2)) / 2`, with an absolute error below 2e-7: Abramowitz and Stegun 7.1.26.
#[inline(always)]
fn normal<S: Simd>(s: S, x: S::F) -> S::F {
    let z = s.mul(s.abs(x), s.splat(std::f32::consts::FRAC_1_SQRT_2));
    let t = s.div(s.splat(1.), s.mul_add(z, s.splat(0.327_591_1), s.splat(1.)));
    let mut p = s.splat(1.061_405_4);
    for coefficient in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = s.mul_add(p, t, s.splat(coefficient));
    }
    // Half of 1 - erf(|x| / sqrt 2): the tail beyond |x|.
    let tail = s.mul(s.mul(s.mul(p, t), exp(s, s.sub(s.splat(0.), s.mul(z, z)))), s.splat(0.5));
    s.select_less(x, s.splat(0.), tail, s.sub(s.splat(1.), tail))
}

/// The function of a gate.
#[inline(always)]
pub(crate) fn gate<S: Simd>(s: S, activation: GateActivation, x: S::F) -> S::F {
    match activation {
        GateActivation::Silu => s.mul(x, sigmoid(s, x)),
        // (1 + tanh u) / 2 is the sigmoid of 2 u, with u = sqrt(2 / pi) (x + 0.044715 x^3).
        GateActivation::GeluTanh => {
            let cubic = s.mul_add(s.mul(s.mul(x, x), s.splat(0.044_715)), x, x);
            s.mul(x, sigmoid(s, s.mul(cubic, s.splat(1.595_769))))
        }
        GateActivation::Gelu => s.mul(x, normal(s, x)),
        GateActivation::Relu => s.max(s.splat(0.), x),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Isa;
    use crate::simd::{Kernel, MAX_LANES};

    /// Which function to apply.
    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Tanh,
        Gate(GateActivation),
    }

    /// Applies a function to each element; the length is a multiple of every vector's.
    struct Apply<'a>(Function, &'a mut [f32]);

    impl Kernel for Apply<'_> {
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for vector in self.1.chunks_exact_mut(S::LANES) {
                // SAFETY: one vector of values.
                let x = unsafe { s.load(vector.as_ptr()) };
                let y = match self.0 {
                    Function::Exp => exp(s, x),
                    Function::Tanh => tanh(s, x),
                    Function::Gate(activation) => gate(s, activation, x),
                };
                // SAFETY: as above.
                unsafe { s.store(vector.as_mut_ptr(), y) };
            }
        }
    }

    fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        y.resize(x.len().next_multiple_of(MAX_LANES), 0.);
        isa.run(Apply(function, &mut y));
        y.truncate(x.len());
        y
    }

    /// Every float whose bits are `bits + step * i` with both signs, as far as `end`.
    fn samples(end: f32, step: usize) -> Vec<f32> {
        (0..=end.to_bits()).step_by(step).map(f32::from_bits).flat_map(|x| [x, -x]).collect()
    }

    /// The largest error over `x` in units in the last place of the expected value.
    fn worst(got: &[f32], x: &[f32], want: impl Fn(f64) -> f64) -> (f64, f32) {
        let error = |got: f32, x: f32| {
            let want = want(x.into());
            // A unit in the last place of `want`; denormal results count in the smallest normal unit.
            let unit = 2f64.powi((want.abs().log2().floor() as i32).max(-126) - 23);
            (f64::from(got) - want).abs() / unit
        };
        got.iter().zip(x).map(|(&got, &x)| (error(got, x), x)).fold((0., 0.), |a, b| if b.0 > a.0 { b } else { a })
    }

    #[test]
    fn exp_is_within_two_units_over_its_range() {
        let x = samples(88.37, 997);
        let x: Vec<f32> = x.into_iter().filter(|&x| x > -87.33).collect();
        for isa in Isa::available() {
            let (error, at) = worst(&apply(isa, Function::Exp, &x), &x, f64::exp);
            assert!(error < 2., "{isa}: {error} units at {at}");
        }
    }

    #[test]
    fn exp_ends_in_zero_and_infinity() {
        for isa in Isa::available() {
            let y = apply(isa, Function::Exp, &[f32::NEG_INFINITY, -88., -1e30, 88.4, 1e30, f32::INFINITY, f32::NAN, 0., -0.]);
            assert_eq!(y[..6], [0., 0., 0., f32::INFINITY, f32::INFINITY, f32::INFINITY], "{isa}");
            assert!(y[6].is_nan());
            assert_eq!(y[7..], [1., 1.]);
        }
    }

    #[test]
    fn tanh_is_within_four_units() {
        let x = samples(100., 1009);
        for isa in Isa::available() {
            let (error, at) = worst(&apply(isa, Function::Tanh, &x), &x, f64::tanh);
            assert!(error < 4., "{isa}: {error} units at {at}");
            assert!(apply(isa, Function::Tanh, &[f32::NAN])[0].is_nan());
            assert_eq!(apply(isa, Function::Tanh, &[f32::INFINITY, f32::NEG_INFINITY, 0.]), [1., -1., 0.]);
        }
    }

    /// Against values of these functions to nine digits (the C library's erfc, tanh and exp in double precision).
    #[test]
    fn gates_match_known_values() {
        let x = [-10., -3., -1., -0.1, 0., 0.1, 0.5, 1., 3., 10.];
        let table: [(GateActivation, [f64; 10]); 4] = [
            (
                GateActivation::Silu,
                [
                    -0.000453978687,
                    -0.14227762,
                    -0.268941421,
                    -0.0475020819,
                    0.0,
                    0.0524979196,
                    0.311229666,
                    0.731058579,
                    2.85772238,
                    9.99954602,
                ],
            ),
            (
                GateActivation::GeluTanh,
                [-0.0, -0.00363739208, -0.158808009, -0.0460172496, 0.0, 0.0539827519, 0.34571401, 0.841191991, 2.99636261, 10.0],
            ),
            (
                GateActivation::Gelu,
                [
                    -7.61985302e-23,
                    -0.00404969409,
                    -0.158655254,
                    -0.0460172169,
                    0.0,
                    0.0539827846,
                    0.345731231,
                    0.841344746,
                    2.99595031,
                    10.0,
                ],
            ),
            (GateActivation::Relu, [0.0, 0.0, 0.0, 0.0, 0.0, 0.100000001, 0.5, 1.0, 3.0, 10.0]),
        ];
        for (activation, want) in table {
            for isa in Isa::available() {
                for (got, want) in apply(isa, Function::Gate(activation), &x).iter().zip(want) {
                    assert!(
                        (f64::from(*got) - want).abs() <= 4e-7 * want.abs().max(1.),
                        "{activation:?} {isa}: {got} for {want}"
                    );
                }
                assert!(apply(isa, Function::Gate(activation), &[f32::NAN])[0].is_nan());
            }
        }
    }
}
