//! Subnormal numbers are 0 for the kernels of a thread that flushes them, on every instruction set.

use biorule_kernels::denormals::{flushes_denormal, set_flush_denormal};
use biorule_kernels::{Planes, Real, dense, norm};

use crate::support::each_isa;

/// A subnormal operand that a product would make normal, and normal operands whose product is
/// subnormal, each with the factor.
fn cases<T: Real>() -> [(T, T); 2] {
    let (subnormal, small) = match size_of::<T>() {
        4 => (1e-39, 1e-20),
        _ => (1e-310, 1e-160),
    };
    [(subnormal, 1e20), (small, small)].map(|(a, b)| (T::from_f64(a), T::from_f64(b)))
}

/// What a product, a long sum and a normalisation of `a` with the factor `b` give.
fn results<T: Real>(a: T, b: T) -> Vec<T> {
    // One sample and unit go to the matrix product, a long layer to our own sum; one thread each.
    let [mut short, mut long] = [[T::ZERO]; 2];
    dense::forward((1, 1, 1), &[a], &[b], &mut short);
    dense::forward((1, 1024, 1), &[a; 1024], &[b; 1024], &mut long);
    let mut scaled = [T::ZERO; 40];
    let (mean, var, shift) = ([T::ZERO], [T::ONE], [T::ZERO]);
    let affine = Some((&[b][..], &shift[..]));
    let planes = Planes::new(1, 1, 40);
    norm::batch_forward_frozen(planes, 0.0, &[a; 40], &mean, &var, affine, &mut scaled);
    [short, long].concat().into_iter().chain(scaled).collect()
}

fn check<T: Real>() {
    each_isa(|isa| {
        for (a, b) in cases::<T>() {
            // What may be constant is computed by the compiler, which flushes nothing.
            let (a, b) = (std::hint::black_box(a), std::hint::black_box(b));
            assert!(set_flush_denormal(false) && !flushes_denormal());
            let kept = results(a, b);
            assert!(set_flush_denormal(true) && flushes_denormal());
            let flushed = results(a, b);
            set_flush_denormal(false);
            let bits = |v: &[T]| -> Vec<u64> { v.iter().map(|v| v.to_f64().to_bits()).collect() };
            assert!(bits(&kept).iter().all(|&v| v != 0), "{isa:?} {kept:?}");
            assert!(
                bits(&flushed).iter().all(|&v| v == 0),
                "{isa:?} {flushed:?}"
            );
        }
    });
}

#[test]
fn a_thread_that_flushes_computes_with_zeros() {
    if !set_flush_denormal(false) {
        eprintln!("skipped: this processor has no switch for subnormal numbers");
        return;
    }
    // One thread: the pool's own have their own switches.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .expect("a pool");
    pool.install(|| {
        check::<f32>();
        check::<f64>();
    });
}

/// The setting is a thread's own.
#[test]
fn another_thread_is_not_touched() {
    let before = flushes_denormal();
    std::thread::spawn(|| set_flush_denormal(true))
        .join()
        .expect("a thread");
    assert_eq!(flushes_denormal(), before);
}
