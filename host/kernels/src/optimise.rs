//! Adam and SGD with momentum over one parameter, in one pass.
//!
//! Formulas and defaults of PyTorch's `Adam`, `AdamW` and `SGD`.

use crate::check::assert_len;
use crate::real::Real;
use crate::simd::{Job, Simd};
use crate::threads::{self, Shared};

/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Adam (Kingma & Ba 2015); with `decoupled` its weight decay is AdamW's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment, 0.9.
    pub beta1: f64,
    /// Decay of the second moment, 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment, 1e-8.
    pub eps: f64,
    /// Weight decay, 0.
    pub weight_decay: f64,
    /// Decay the weight itself instead of adding to the gradient.
    pub decoupled: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        }
    }
}

/// Step `t` (from 1) of Adam: moves `weight`, first moment `m` and second moment `v`.
pub fn adam<T: Real>(h: &Adam, t: u64, grad: &[T], weight: &mut [T], m: &mut [T], v: &mut [T]) {
    assert_len("grad", grad, weight.len());
    assert_len("m", m, weight.len());
    assert_len("v", v, weight.len());
    let exponent = t.min(i32::MAX as u64) as i32;
    let (c1, c2) = (1.0 - h.beta1.powi(exponent), 1.0 - h.beta2.powi(exponent));
    let step = [
        h.lr / c1,
        1.0 / c2.sqrt(),
        h.eps,
        h.beta1,
        h.beta2,
        h.weight_decay,
        h.lr,
    ]
    .map(T::from_f64);
    let len = weight.len();
    let parts = (Shared::new(weight), Shared::new(m), Shared::new(v));
    threads::for_each(len.div_ceil(CHUNK), |i| {
        let (from, n) = (i * CHUNK, CHUNK.min(len - i * CHUNK));
        // SAFETY: chunk i of each array is touched by call i alone.
        let (weight, m, v) = unsafe {
            (
                parts.0.part(from, n),
                parts.1.part(from, n),
                parts.2.part(from, n),
            )
        };
        T::vectorised(AdamJob {
            step,
            decoupled: h.decoupled,
            grad: &grad[from..from + n],
            weight,
            m,
            v,
        });
    });
}

struct AdamJob<'a, T> {
    step: [T; 7],
    decoupled: bool,
    grad: &'a [T],
    weight: &'a mut [T],
    m: &'a mut [T],
    v: &'a mut [T],
}

impl<T: Real> Job<T> for AdamJob<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let [rate, root, eps, b1, b2, decay, lr] = self.step;
        let (plain, shrink) = if self.decoupled {
            (T::ZERO, T::ONE - lr * decay)
        } else {
            (decay, T::ONE)
        };
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        for ((w, &g), (m, v)) in self.weight.iter_mut().zip(self.grad).zip(moments) {
            let g = g + plain * *w;
            *m = b1 * *m + (T::ONE - b1) * g;
            *v = b2 * *v + (T::ONE - b2) * g * g;
            *w = *w * shrink - rate * *m / (v.sqrt() * root + eps);
        }
    }
}

/// Stochastic gradient descent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Share of the last step that is kept, 0 for none.
    pub momentum: f64,
    /// Share of the gradient that does not enter the velocity after the first step.
    pub dampening: f64,
    /// Added to the gradient as a multiple of the weight.
    pub weight_decay: f64,
    /// Look ahead along the velocity.
    pub nesterov: bool,
}

impl Default for Sgd {
    fn default() -> Self {
        Self {
            lr: 1e-2,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
        }
    }
}

/// Step `t` (from 1; the first sets the velocity to the gradient) of SGD. Without momentum
/// `velocity` may be empty.
pub fn sgd<T: Real>(h: &Sgd, t: u64, grad: &[T], weight: &mut [T], velocity: &mut [T]) {
    assert_len("grad", grad, weight.len());
    let with_velocity = h.momentum != 0.0;
    assert_len(
        "velocity",
        velocity,
        if with_velocity {
            weight.len()
        } else {
            velocity.len()
        },
    );
    let (keep, take) = if t <= 1 {
        (0.0, 1.0)
    } else {
        (h.momentum, 1.0 - h.dampening)
    };
    let step = [h.lr, keep, take, h.momentum, h.weight_decay].map(T::from_f64);
    let len = weight.len();
    let parts = (Shared::new(weight), Shared::new(velocity));
    threads::for_each(len.div_ceil(CHUNK), |i| {
        let (from, n) = (i * CHUNK, CHUNK.min(len - i * CHUNK));
        // SAFETY: chunk i of each array is touched by call i alone.
        let weight = unsafe { parts.0.part(from, n) };
        let velocity: &mut [T] = if with_velocity {
            // SAFETY: as above.
            unsafe { parts.1.part(from, n) }
        } else {
            &mut []
        };
        T::vectorised(SgdJob {
            step,
            nesterov: h.nesterov,
            grad: &grad[from..from + n],
            weight,
            velocity,
        });
    });
}

struct SgdJob<'a, T> {
    step: [T; 5],
    nesterov: bool,
    grad: &'a [T],
    weight: &'a mut [T],
    velocity: &'a mut [T],
}

impl<T: Real> Job<T> for SgdJob<'_, T> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd<E = T>>(self, _: S) {
        let [lr, keep, take, momentum, decay] = self.step;
        if self.velocity.is_empty() {
            for (w, &g) in self.weight.iter_mut().zip(self.grad) {
                *w -= lr * (g + decay * *w);
            }
            return;
        }
        let ahead = if self.nesterov {
            (T::ONE, momentum)
        } else {
            (T::ZERO, T::ONE)
        };
        for ((w, &g), v) in self.weight.iter_mut().zip(self.grad).zip(self.velocity) {
            let g = g + decay * *w;
            *v = keep * *v + take * g;
            *w -= lr * (ahead.0 * g + ahead.1 * *v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three steps of `f(w) = w^2 / 2` from 1, by the formulas of the papers.
    #[test]
    fn three_steps_match_the_formulas() {
        let h = Adam {
            lr: 0.1,
            weight_decay: 0.01,
            ..Adam::default()
        };
        let (mut w, mut m, mut v) = (vec![1.0f64; 40_000], vec![0.0; 40_000], vec![0.0; 40_000]);
        let (mut ew, mut em, mut ev) = (1.0f64, 0.0f64, 0.0f64);
        for t in 1..=3 {
            let grad = w.clone();
            adam(&h, t, &grad, &mut w, &mut m, &mut v);
            let g = ew + 0.01 * ew;
            em = 0.9 * em + 0.1 * g;
            ev = 0.999 * ev + 0.001 * g * g;
            let (mh, vh) = (
                em / (1.0 - 0.9f64.powi(t as i32)),
                ev / (1.0 - 0.999f64.powi(t as i32)),
            );
            ew -= 0.1 * mh / (vh.sqrt() + 1e-8);
        }
        assert!(w.iter().all(|w| (w - ew).abs() < 1e-12));
    }

    #[test]
    fn momentum_and_nesterov_match_the_formulas() {
        for nesterov in [false, true] {
            let h = Sgd {
                lr: 0.1,
                momentum: 0.9,
                weight_decay: 0.01,
                nesterov,
                ..Sgd::default()
            };
            let (mut w, mut v) = ([1.0f64, -2.0], [7.0; 2]);
            let (mut ew, mut ev) = (1.0, 0.0);
            for t in 1..=3 {
                let grad = w;
                sgd(&h, t, &grad, &mut w, &mut v);
                let g = ew + 0.01 * ew;
                ev = if t == 1 { g } else { 0.9 * ev + g };
                ew -= 0.1 * if nesterov { g + 0.9 * ev } else { ev };
            }
            assert!((w[0] - ew).abs() < 1e-12 && (w[1] + 2.0 * ew).abs() < 1e-12);
        }
        let mut w = [2.0f64];
        sgd(&Sgd::default(), 5, &[1.0], &mut w, &mut []);
        assert!((w[0] - 1.99).abs() < 1e-15);
    }
}
