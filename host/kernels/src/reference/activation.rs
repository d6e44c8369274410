//! Triangle and softmax over the channels, position by position, in f64.

use crate::geometry::Planes;
use crate::real::Real;

/// The indices of the channels of every position.
fn positions(d: Planes) -> impl Iterator<Item = Vec<usize>> {
    (0..d.b * d.hw).map(move |o| {
        let (n, i) = (o / d.hw, o % d.hw);
        (0..d.c).map(|c| (n * d.c + c) * d.hw + i).collect()
    })
}

/// `y = max(0, u - mean over channels)^power`.
pub fn triangle_forward<T: Real>(d: Planes, power: f64, u: &[T], y: &mut [T]) {
    for at in positions(d) {
        let mean = at.iter().map(|&i| u[i].to_f64()).sum::<f64>() / d.c as f64;
        for i in at {
            let t = u[i].to_f64() - mean;
            y[i] = T::from_f64(if t > 0.0 { t.powf(power) } else { 0.0 });
        }
    }
}

/// Gradient of [`triangle_forward`] with the mean held constant.
pub fn triangle_backward<T: Real>(d: Planes, power: f64, u: &[T], dy: &[T], du: &mut [T]) {
    for at in positions(d) {
        let mean = at.iter().map(|&i| u[i].to_f64()).sum::<f64>() / d.c as f64;
        for i in at {
            let t = u[i].to_f64() - mean;
            let slope = if t > 0.0 {
                power * t.powf(power - 1.0)
            } else {
                0.0
            };
            du[i] = T::from_f64(slope * dy[i].to_f64());
        }
    }
}

/// `y = softmax(gain * u)` over the channels.
pub fn softmax_forward<T: Real>(d: Planes, gain: f64, u: &[T], y: &mut [T]) {
    for at in positions(d) {
        let most = at
            .iter()
            .map(|&i| gain * u[i].to_f64())
            .fold(f64::NEG_INFINITY, f64::max);
        let exp: Vec<f64> = at
            .iter()
            .map(|&i| (gain * u[i].to_f64() - most).exp())
            .collect();
        let sum: f64 = exp.iter().sum();
        for (i, e) in at.into_iter().zip(exp) {
            y[i] = T::from_f64(e / sum);
        }
    }
}

/// Gradient of [`softmax_forward`] from its result `y`.
pub fn softmax_backward<T: Real>(d: Planes, gain: f64, y: &[T], dy: &[T], du: &mut [T]) {
    for at in positions(d) {
        let dot: f64 = at.iter().map(|&i| y[i].to_f64() * dy[i].to_f64()).sum();
        for i in at {
            du[i] = T::from_f64(gain * y[i].to_f64() * (dy[i].to_f64() - dot));
        }
    }
}
