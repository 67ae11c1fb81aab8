//! Root-mean-square norms against a computation in f64.

mod support;

use kinglet_kernels::{Pool, add_rms_norm, rms_norm};
use support::{Expected, Random, assert_close, each_isa};

fn normed(x: &[f32], weight: &[f32], offset: f32, eps: f32) -> Vec<Expected> {
    x.chunks(weight.len())
        .flat_map(|x| {
            let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / x.len() as f64;
            let factor = 1. / (mean + f64::from(eps)).sqrt();
            let value = move |(&x, &w): (&f32, &f32)| {
                let [value, magnitude] =
                    [f64::from(w), f64::from(w.abs())].map(|w| f64::from(x) * factor * (w + f64::from(offset)));
                Expected { value, magnitude: magnitude.abs() }
            };
            x.iter().zip(weight).map(value).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_width_matches_the_oracle() {
    let mut random = Random(1);
    for width in (1..=49).chain([896, 2049]) {
        for rows in [0, 1, 3, 17] {
            let (x, residual, weight) = (random.floats(rows * width + 1), random.floats(rows * width), random.floats(width));
            let x = &x[1..];
            for offset in [0., 1.] {
                let want = normed(x, &weight, offset, 1e-5);
                let sums: Vec<f32> = x.iter().zip(&residual).map(|(x, r)| x + r).collect();
                let want_sum = normed(&sums, &weight, offset, 1e-6);
                each_isa(2, |pool| {
                    let what = format!("width {width} rows {rows} offset {offset} {}", pool.isa());
                    let mut y = vec![f32::NAN; x.len()];
                    rms_norm(pool, x, &weight, offset, 1e-5, &mut y);
                    assert_close(&what, &y, &want, 16.);
                    let mut sum = vec![f32::NAN; x.len()];
                    add_rms_norm(pool, x, &residual, &weight, offset, 1e-6, &mut y, &mut sum);
                    assert_eq!(sum, sums, "{what}");
                    assert_close(&what, &y, &want_sum, 16.);
                });
            }
        }
    }
}

#[test]
fn nan_stays_in_its_row() {
    let mut x = vec![1.; 3 * 20];
    x[25] = f32::NAN;
    each_isa(1, |pool| {
        let mut y = vec![0.; 60];
        rms_norm(pool, &x, &[1.; 20], 0., 0., &mut y);
        assert!(y[20..40].iter().all(|y| y.is_nan()));
        assert!(y[..20].iter().chain(&y[40..]).all(|&y| y == 1.));
    });
}

#[test]
#[should_panic(expected = "rows of 7 values")]
fn half_a_row_is_refused() {
    rms_norm(&Pool::new(1), &[0.; 10], &[0.; 7], 0., 0., &mut [0.; 10]);
}
