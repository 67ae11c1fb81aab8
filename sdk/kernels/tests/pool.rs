//! The worker pool: every item once, panics, nesting, sharing, sleep.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use kinglet_kernels::Pool;

fn counters(count: usize) -> Vec<AtomicUsize> {
    (0..count).map(|_| AtomicUsize::new(0)).collect()
}

#[test]
fn every_item_runs_once_whatever_the_number_of_threads() {
    for threads in [0, 1, 2, 3, 8, 33] {
        let pool = Pool::new(threads);
        assert_eq!(pool.threads(), threads.max(1));
        for items in [0, 1, 2, 7, 1000] {
            let seen = counters(items);
            pool.for_each(items, |item, worker| {
                assert!(worker < pool.threads());
                seen[item].fetch_add(1, Relaxed);
            });
            assert!(seen.iter().all(|count| count.load(Relaxed) == 1), "{threads} threads, {items} items");
        }
    }
}

#[test]
fn no_two_items_share_a_worker_at_the_same_time() {
    let pool = Pool::new(8);
    let busy = counters(pool.threads());
    pool.for_each(5000, |_, worker| {
        assert_eq!(busy[worker].fetch_add(1, Relaxed), 0);
        std::hint::black_box((0..50).sum::<usize>());
        busy[worker].fetch_sub(1, Relaxed);
    });
}

#[test]
fn ten_thousand_jobs_with_next_to_nothing_to_do() {
    let pool = Pool::new(4);
    let total = AtomicUsize::new(0);
    for job in 0..10_000 {
        pool.for_each(0, |_, _| unreachable!("a job without items"));
        pool.for_each(4, |item, _| {
            total.fetch_add(item, Relaxed);
        });
        if job % 1000 == 0 {
            // Long enough for the workers to go to sleep.
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    assert_eq!(total.load(Relaxed), 60_000);
}

#[test]
fn a_panic_in_an_item_reaches_the_caller_and_the_pool_lives_on() {
    for threads in [1, 2, 8] {
        let pool = Pool::new(threads);
        for bad in [0, 1, 99] {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                pool.for_each(100, |item, _| {
                    if item == bad {
                        std::panic::panic_any("the item failed");
                    }
                });
            }));
            assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"the item failed"));
            let count = AtomicUsize::new(0);
            pool.for_each(100, |_, _| {
                count.fetch_add(1, Relaxed);
            });
            assert_eq!(count.load(Relaxed), 100);
        }
    }
}

#[test]
fn all_items_may_panic() {
    let pool = Pool::new(8);
    assert!(catch_unwind(AssertUnwindSafe(|| pool.for_each(64, |_, _| panic!("each")))).is_err());
}

#[test]
fn a_job_inside_an_item_runs_and_so_does_its_panic() {
    let pool = Pool::new(4);
    let count = AtomicUsize::new(0);
    pool.for_each(8, |_, _| {
        pool.for_each(8, |_, _| {
            count.fetch_add(1, Relaxed);
        });
    });
    assert_eq!(count.load(Relaxed), 64);
    let nested = catch_unwind(AssertUnwindSafe(|| {
        pool.for_each(8, |_, _| pool.for_each(8, |item, _| assert!(item != 5, "inner")));
    }));
    assert!(nested.is_err());
    pool.for_each(8, |_, _| {
        count.fetch_add(1, Relaxed);
    });
    assert_eq!(count.load(Relaxed), 72);
}

#[test]
fn several_threads_may_use_one_pool_at_once() {
    let pool = Pool::new(3);
    let count = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    pool.for_each(10, |_, _| {
                        count.fetch_add(1, Relaxed);
                    });
                }
            });
        }
    });
    assert_eq!(count.load(Relaxed), 8000);
}

#[test]
fn pools_start_and_stop_quickly_and_often() {
    for threads in 1..64 {
        let pool = Pool::new(threads % 7 + 1);
        if threads % 2 == 0 {
            pool.for_each(3, |_, _| ());
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_idle_pool_uses_no_processor_time() {
    // Ticks of this process are too coarse and shared with other tests: look at the workers themselves.
    let spent = || -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks
            .filter_map(|task| {
                let task = task.unwrap().path();
                let name = std::fs::read_to_string(task.join("comm")).ok()?;
                if !name.starts_with("kinglet-9") {
                    return None;
                }
                std::fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok()
            })
            .sum()
    };
    // Worker names end in their number; only this test has more than 90 of them.
    let pool = Pool::new(100);
    pool.for_each(1000, |_, _| ());
    let mut before = spent();
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let after = spent();
        if after == before {
            return;
        }
        before = after;
    }
    panic!("the workers never went to sleep");
}
