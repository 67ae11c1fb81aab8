//! A bounded store of results by key.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Keeps at least the latest `capacity / 2` results and at most `capacity`: when the young half is full it becomes the old
/// half, and what was old is forgotten.
pub(super) struct Memo<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Memo<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= (self.capacity / 2).max(1) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_half_is_kept_and_no_more_than_the_capacity() {
        let mut memo = Memo::new(8);
        for i in 0..100 {
            memo.insert(i, i * 10);
            assert!((i.max(3) - 3..=i).all(|k| memo.get(&k) == Some(&(k * 10))), "{i}");
            assert!((0..=i).filter(|k| memo.get(k).is_some()).count() <= 8);
        }
        assert_eq!(memo.get(&0), None);
    }
}
