//! Reductions over rows of any length, on every instruction set, against the standard library in f64.

mod support;

use kinglet_kernels::{maximum, sum_of_exponentials};
use proptest::prelude::*;
use support::{Random, each_isa};

#[test]
fn every_length_matches_the_oracle() {
    let mut random = Random(1);
    for length in (0..100).chain([1000, 4095, 151_936]) {
        let values: Vec<f32> = random.floats(length).iter().map(|x| x * 30.).collect();
        let top = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        each_isa(1, |pool| {
            assert_eq!(maximum(pool.isa(), &values), Some(top), "{length} {}", pool.isa());
            if length > 0 {
                let want: f64 = values.iter().map(|&x| (f64::from(x) - f64::from(top)).exp()).sum();
                let got = sum_of_exponentials(pool.isa(), &values, top);
                assert!((got - want).abs() <= 1e-6 * want, "{length} {}: {got} for {want}", pool.isa());
            }
        });
    }
}

#[test]
fn what_is_no_logit_is_noticed_wherever_it_is() {
    for length in [1, 7, 16, 17, 40] {
        for place in 0..length {
            for (bad, fits) in [(f32::NAN, false), (f32::INFINITY, false), (f32::NEG_INFINITY, true)] {
                let mut values = vec![-1.; length];
                values[place] = bad;
                each_isa(1, |pool| assert_eq!(maximum(pool.isa(), &values).is_some(), fits, "{bad} at {place} of {length}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn logits_of_any_size(values in proptest::collection::vec(prop_oneof![-1e30f32..1e30, -100f32..100., Just(f32::NEG_INFINITY)], 1..200)) {
        each_isa(1, |pool| {
            let top = maximum(pool.isa(), &values).unwrap();
            assert_eq!(top, values.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            if top.is_finite() {
                let want: f64 = values.iter().map(|&x| (f64::from(x) - f64::from(top)).exp()).sum();
                assert!((sum_of_exponentials(pool.isa(), &values, top) - want).abs() <= 1e-6 * want);
            }
        });
    }
}
