//! Fixtures, oracles and comparators for the tests of the other crates
