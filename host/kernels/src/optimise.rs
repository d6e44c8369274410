//! SGD with momentum and Adam over one parameter, in one pass, with clipping and both kinds of decay.
//!
//! Formulas of PyTorch's `SGD` (no dampening) and `Adam`; the decoupled decay is a factor of its own
//! that the rate does not scale (docs/configuration.md).

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// What an optimiser step has in common: rate, decays, clipping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepRates {
    /// Rate η.
    pub lr: f64,
    /// Added to the gradient as `decay · p`.
    pub weight_decay: f64,
    /// With the step `p ← p − decay · p`, of the value before it.
    pub decoupled_decay: f64,
    /// Clip every gradient element to ±this before anything else; 0 is off.
    pub clip: f64,
}

/// Moments and bias corrections of Adam (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamRates {
    /// Decay of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the corrected second moment.
    pub eps: f64,
    /// Steps done, this one included.
    pub step: u64,
}

/// `g` clipped to ±`clip`, plus `decay · p`, and what the parameter keeps of itself.
#[derive(Clone, Copy)]
struct Seen<T> {
    decay: T,
    shrink: T,
    clip: T,
}

impl<T: Real> Seen<T> {
    fn new(rates: &StepRates) -> Self {
        Self {
            decay: T::from_f64(rates.weight_decay),
            shrink: T::from_f64(1.0 - rates.decoupled_decay),
            clip: T::from_f64(if rates.clip > 0.0 {
                rates.clip
            } else {
                f64::INFINITY
            }),
        }
    }

    #[inline(always)]
    fn gradient(&self, g: T, p: T) -> T {
        // Comparisons that a not-a-number fails, so that it is not clipped away.
        let g = if g > self.clip { self.clip } else { g };
        let g = if g < -self.clip { -self.clip } else { g };
        g + self.decay * p
    }
}

/// `v ← μ v + g; p ← p − η v`; without `velocity`, `p ← p − η g`.
pub fn sgd<T: Real>(
    rates: &StepRates,
    momentum: f64,
    grad: &[T],
    p: &mut [T],
    velocity: Option<&mut [T]>,
) {
    assert_len("grad", grad, p.len());
    let velocity = velocity.map(|v| {
        assert_len("velocity", v, grad.len());
        Shared::new(v)
    });
    let (seen, lr, momentum) = (
        Seen::new(rates),
        T::from_f64(rates.lr),
        T::from_f64(momentum),
    );
    threads::for_each_chunk(p, CHUNK, |i, p| {
        T::vectorised(Sgd {
            seen,
            lr,
            momentum,
            grad: &grad[i * CHUNK..][..p.len()],
            // SAFETY: chunk i is touched by call i alone.
            velocity: velocity
                .as_ref()
                .map(|v| unsafe { v.part(i * CHUNK, p.len()) }),
            p,
        });
    });
}

struct Sgd<'a, T> {
    seen: Seen<T>,
    lr: T,
    momentum: T,
    grad: &'a [T],
    velocity: Option<&'a mut [T]>,
    p: &'a mut [T],
}

impl<T: Real> Job<T> for Sgd<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let (seen, lr, momentum) = (self.seen, self.lr, self.momentum);
        let Some(velocity) = self.velocity else {
            for (p, &g) in self.p.iter_mut().zip(self.grad) {
                *p = *p * seen.shrink - lr * seen.gradient(g, *p);
            }
            return;
        };
        for ((p, v), &g) in self.p.iter_mut().zip(velocity).zip(self.grad) {
            *v = momentum * *v + seen.gradient(g, *p);
            *p = *p * seen.shrink - lr * *v;
        }
    }
}

/// Adam with bias correction: moves `p`, first moment `m` and second moment `v`.
pub fn adam<T: Real>(
    rates: &StepRates,
    adam: &AdamRates,
    grad: &[T],
    p: &mut [T],
    m: &mut [T],
    v: &mut [T],
) {
    assert_len("grad", grad, p.len());
    assert_len("m", m, p.len());
    assert_len("v", v, p.len());
    let correction = |beta: f64| 1.0 - beta.powf(adam.step as f64);
    let [b1, b2] = adam.betas;
    let factors = [
        rates.lr / correction(b1),
        1.0 / correction(b2).sqrt(),
        adam.eps,
        b1,
        1.0 - b1,
        b2,
        1.0 - b2,
    ]
    .map(T::from_f64);
    let seen = Seen::new(rates);
    let (m, v) = (Shared::new(m), Shared::new(v));
    threads::for_each_chunk(p, CHUNK, |i, p| {
        // SAFETY: chunk i of each is touched by call i alone.
        let (m, v) = unsafe { (m.part(i * CHUNK, p.len()), v.part(i * CHUNK, p.len())) };
        T::vectorised(Adam {
            seen,
            factors,
            grad: &grad[i * CHUNK..][..p.len()],
            p,
            m,
            v,
        });
    });
}

struct Adam<'a, T> {
    seen: Seen<T>,
    factors: [T; 7],
    grad: &'a [T],
    p: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
}

impl<T: Real> Job<T> for Adam<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let [rate, root, eps, b1, c1, b2, c2] = self.factors;
        let seen = self.seen;
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        for ((p, &g), (m, v)) in self.p.iter_mut().zip(self.grad).zip(moments) {
            let g = seen.gradient(g, *p);
            *m = b1 * *m + c1 * g;
            *v = b2 * *v + c2 * g * g;
            *p = *p * seen.shrink - rate * *m / (v.sqrt() * root + eps);
        }
    }
}

/// `p ← p + d`.
pub fn add<T: Real>(d: &[T], p: &mut [T]) {
    assert_len("d", d, p.len());
    threads::for_each_chunk(p, CHUNK, |i, p| {
        let d = &d[i * CHUNK..][..p.len()];
        p.iter_mut().zip(d).for_each(|(p, &d)| *p += d);
    });
}

/// `p ← p + scale·d`.
pub fn add_scaled<T: Real>(scale: T, d: &[T], p: &mut [T]) {
    assert_len("d", d, p.len());
    threads::for_each_chunk(p, CHUNK, |i, p| {
        let d = &d[i * CHUNK..][..p.len()];
        p.iter_mut().zip(d).for_each(|(p, &d)| *p += scale * d);
    });
}

/// `out = a + b`.
pub fn sum<T: Real>(a: &[T], b: &[T], out: &mut [T]) {
    assert_len("a", a, out.len());
    assert_len("b", b, out.len());
    threads::for_each_chunk(out, CHUNK, |i, out| {
        let (a, b) = (&a[i * CHUNK..][..out.len()], &b[i * CHUNK..][..out.len()]);
        let terms = a.iter().zip(b);
        out.iter_mut()
            .zip(terms)
            .for_each(|(out, (&a, &b))| *out = a + b);
    });
}

/// `out = scale·x`.
pub fn scale<T: Real>(scale: T, x: &[T], out: &mut [T]) {
    assert_len("x", x, out.len());
    threads::for_each_chunk(out, CHUNK, |i, out| {
        let x = &x[i * CHUNK..][..out.len()];
        out.iter_mut().zip(x).for_each(|(out, &x)| *out = scale * x);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATES: StepRates = StepRates {
        lr: 0.1,
        weight_decay: 0.01,
        decoupled_decay: 0.002,
        clip: 0.5,
    };

    /// The gradient of `w² / 2`, as the optimiser sees it.
    fn seen(w: f64) -> f64 {
        w.clamp(-0.5, 0.5) + 0.01 * w
    }

    #[test]
    fn adam_matches_the_formulas() {
        let (mut w, mut m, mut v) = (vec![1.0f64; 40_000], vec![0.0; 40_000], vec![0.0; 40_000]);
        let (mut ew, mut em, mut ev) = (1.0f64, 0.0f64, 0.0f64);
        for step in 1..=3 {
            let grad = w.clone();
            let rates = AdamRates {
                betas: [0.9, 0.999],
                eps: 1e-8,
                step,
            };
            adam(&RATES, &rates, &grad, &mut w, &mut m, &mut v);
            let g = seen(ew);
            em = 0.9 * em + 0.1 * g;
            ev = 0.999 * ev + 0.001 * g * g;
            let (mh, vh) = (
                em / (1.0 - 0.9f64.powi(step as i32)),
                ev / (1.0 - 0.999f64.powi(step as i32)),
            );
            ew = ew * 0.998 - 0.1 * mh / (vh.sqrt() + 1e-8);
        }
        assert!(w.iter().all(|w| (w - ew).abs() < 1e-12));
    }

    #[test]
    fn sgd_matches_the_formulas_with_and_without_velocity() {
        for momentum in [0.0, 0.9] {
            let (mut w, mut v) = (vec![1.0f64; 20_000], vec![0.0; 20_000]);
            let (mut ew, mut ev) = (1.0, 0.0);
            for _ in 0..3 {
                let grad = w.clone();
                let velocity = (momentum != 0.0).then_some(&mut v[..]);
                sgd(&RATES, momentum, &grad, &mut w, velocity);
                ev = momentum * ev + seen(ew);
                ew = ew * 0.998 - 0.1 * ev;
            }
            assert!(w.iter().all(|w| (w - ew).abs() < 1e-12));
        }
    }

    #[test]
    fn a_not_a_number_is_not_clipped_away() {
        let mut w = [1.0f32, 1.0];
        sgd(&RATES, 0.0, &[f32::NAN, 0.0], &mut w, None);
        assert!(w[0].is_nan() && !w[1].is_nan());
    }
}
