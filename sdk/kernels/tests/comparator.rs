//! The comparator itself: it must fail where it should.

mod support;

use support::{Expected, assert_close};

const WANT: [Expected; 2] = [Expected { value: 1., magnitude: 1. }, Expected { value: -2., magnitude: 4. }];

#[test]
fn values_within_the_tolerance_pass() {
    assert_close("close", &[1. + 2f32.powi(-22), -2. + 2f32.powi(-20)], &WANT, 4.);
}

#[test]
#[should_panic(expected = "element 0")]
fn a_value_outside_the_tolerance_fails() {
    assert_close("far", &[1. + 2f32.powi(-21), -2.], &WANT, 4.);
}

#[test]
#[should_panic(expected = "element 1")]
fn nan_fails_where_a_number_is_expected() {
    assert_close("nan", &[1., f32::NAN], &WANT, 4.);
}

#[test]
#[should_panic(expected = "element 0")]
fn a_number_fails_where_nan_is_expected() {
    assert_close("number", &[1.], &[Expected { value: f64::NAN, magnitude: 1. }], 4.);
}

#[test]
#[should_panic(expected = "another number of elements")]
fn another_length_fails() {
    assert_close("short", &[1.], &WANT, 4.);
}
