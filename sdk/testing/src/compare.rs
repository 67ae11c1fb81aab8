//! Comparing logits with a reference.

/// How far two rows of values are apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Largest absolute difference; infinite if one side is not a number where the other is, or lengths differ.
    pub max: f32,
    /// Root of the mean squared difference.
    pub rms: f32,
    /// Largest absolute value of the reference.
    pub scale: f32,
}

impl Difference {
    /// [`max`](Self::max) as a part of the reference's largest value.
    pub fn relative(&self) -> f32 {
        self.max / self.scale.max(f32::MIN_POSITIVE)
    }
}

/// Compares `got` with the reference `want`, both of one shape.
pub fn compare(got: &[f32], want: &[f32]) -> Difference {
    let scale = want.iter().fold(0.0f32, |m, w| m.max(w.abs()));
    if got.len() != want.len() || got.is_empty() {
        return Difference { max: f32::INFINITY, rms: f32::INFINITY, scale };
    }
    let distance = |g: &f32, w: &f32| match (g - w).abs() {
        d if d.is_nan() && !(g.is_nan() && w.is_nan()) && g != w => f32::INFINITY,
        d if d.is_nan() => 0.0,
        d => d,
    };
    let distances = got.iter().zip(want).map(|(g, w)| distance(g, w));
    let squares: f64 = distances.clone().map(|d| f64::from(d).powi(2)).sum();
    Difference { max: distances.fold(0.0, f32::max), rms: (squares / got.len() as f64).sqrt() as f32, scale }
}

/// Index of the largest value, the first of equals; values that are no numbers never win.
///
/// # Panics
/// If `row` is empty.
pub fn argmax(row: &[f32]) -> usize {
    assert!(!row.is_empty(), "no values");
    row.iter().enumerate().fold(0, |best, (i, v)| if *v > row[best] || row[best].is_nan() { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_seen() {
        assert_eq!(compare(&[1.0, 2.0], &[1.0, 2.0]).max, 0.0);
        let d = compare(&[1.0, 2.5], &[1.0, 2.0]);
        assert_eq!((d.max, d.relative()), (0.5, 0.25));
        assert!((d.rms - 0.353_553).abs() < 1e-5);
    }

    #[test]
    fn what_cannot_be_compared_fails() {
        for (got, want) in
            [(vec![f32::NAN], vec![1.0]), (vec![1.0], vec![f32::NAN]), (vec![], vec![]), (vec![1.0], vec![1.0, 2.0])]
        {
            assert_eq!(compare(&got, &want).max, f32::INFINITY, "{got:?} {want:?}");
        }
        assert_eq!(compare(&[f32::INFINITY], &[f32::INFINITY]).max, 0.0);
        assert_eq!(compare(&[f32::INFINITY], &[1.0]).max, f32::INFINITY);
    }

    #[test]
    fn argmax_takes_the_first_of_equals_and_no_nan() {
        assert_eq!(argmax(&[f32::NAN, 1.0, 3.0, 3.0]), 2);
    }
}
