//! How many threads there are, and that all of them take subnormal numbers as 0.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use biorule_kernels::denormals::flushes_denormal;
use biorule_kernels::{dense, threads};

use super::*;

/// What a kernel makes of a subnormal number and a factor that would make it normal.
fn product() -> f32 {
    let mut y = [9.0];
    dense::forward((1, 1, 1), &[black_box(1e-39)], &[black_box(1e20)], &mut y);
    y[0]
}

#[test]
fn the_configuration_beats_the_variable_and_says_so() {
    let cases: [(usize, Option<&str>, usize, &[&str]); 8] = [
        (0, None, 4, &[]),
        (0, Some("3"), 3, &[]),
        (0, Some("0"), 4, &[]),
        (2, None, 2, &[]),
        (2, Some("2"), 2, &[]),
        (
            2,
            Some("3"),
            2,
            &["wins over `RAYON_NUM_THREADS`, which is 3"],
        ),
        (
            0,
            Some("many"),
            4,
            &["`many`, which is not a number: 4 threads"],
        ),
        (
            9,
            Some("8"),
            9,
            &["which is 8", "is 9, but this process may use 4 cores"],
        ),
    ];
    for (threads, told, count, said) in cases {
        let choice = choose(threads, told, 4);
        assert_eq!(choice.count, count, "{threads} {told:?}");
        assert_eq!(choice.warnings.len(), said.len(), "{:?}", choice.warnings);
        for (warning, said) in choice.warnings.iter().zip(said) {
            assert!(warning.contains(said), "{warning}");
        }
    }
    assert!(choose(0, Some("64"), 4).warnings[0].starts_with("`RAYON_NUM_THREADS` is 64"));
}

/// Every thread of both pools, whoever made them.
#[test]
fn the_pools_take_subnormal_numbers_as_zero() {
    if !set_flush_denormal(true) {
        eprintln!("skipped: this processor has no switch for subnormal numbers");
        return;
    }
    in_pool(|| {
        assert!(flushes_denormal());
        let all = rayon::broadcast(|_| product());
        assert_eq!(all, vec![0.0; threads::count()]);
        // Kernels that spread their work, in tasks enough for every thread.
        let (n, wrong) = (64 * threads::count(), AtomicUsize::new(0));
        threads::for_each(n, |_| {
            wrong.fetch_add(usize::from(product() != 0.0), Ordering::Relaxed);
        });
        assert_eq!(wrong.into_inner(), 0);
    });
    let pool = candle_core::utils::barrier_pool();
    let (calls, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    set_flush_denormal(true);
    pool.execute(|_| {
        calls.fetch_add(1, Ordering::Relaxed);
        let y = black_box(1e-39f32) * black_box(1e20);
        wrong.fetch_add(usize::from(y != 0.0), Ordering::Relaxed);
    });
    assert_eq!(calls.into_inner(), pool.n_workers() + 1);
    assert_eq!(wrong.into_inner(), 0);
}

/// A thread that was started before the pools, or by a plugin, has the switch once it has entered.
#[test]
fn a_thread_that_enters_takes_them_as_zero() {
    if !set_flush_denormal(true) {
        return;
    }
    set_flush_denormal(false);
    assert!(product() != 0.0);
    enter();
    assert_eq!(product(), 0.0);
    set_flush_denormal(false);
}
