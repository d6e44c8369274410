//! GFLOP/s of the convolution maps and the SoftHebb step beside this machine's matrix product, and
//! times of the other kernels. Each figure is the best of many short bursts.
//!
//! `cargo run --release -p biorule-kernels --example speed [FILTER [BATCHES]]`, for example
//! `speed softhebb 10,64`

use biorule_kernels::compete::{self, Outputs};
use biorule_kernels::competition::Competition;
use biorule_kernels::optimise::{self, AdamRates, StepRates};
use biorule_kernels::{
    Conv, PadMode, Planes, Pool, activation, conv, gemm, norm, pad, pool, simd, threads, update,
};
use std::time::{Duration, Instant};

unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
}

/// Seconds of processor time of this thread where it is the only one, so that other programs do not
/// count; else of the clock on the wall.
fn now() -> f64 {
    const MONOTONIC: i32 = 1;
    const THREAD_CPUTIME: i32 = 3;
    let mut time = [0; 2];
    // SAFETY: `time` has the layout of a 64-bit timespec.
    unsafe {
        clock_gettime(
            if threads::count() == 1 {
                THREAD_CPUTIME
            } else {
                MONOTONIC
            },
            &mut time,
        )
    };
    time[0] as f64 + 1e-9 * time[1] as f64
}

/// Best time of `f` over half a second of runs, at least three.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let (start, mut least) = (Instant::now(), f64::INFINITY);
    let mut runs = 0;
    while runs < 3 || (start.elapsed() < Duration::from_millis(500) && runs < 2000) {
        let t = now();
        f();
        least = least.min(now() - t);
        runs += 1;
    }
    least
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

fn sgemm_peak() -> f64 {
    let mut peak = 0.0f64;
    // The small one ends within a time slice, which matters on a busy machine.
    for (m, n, k) in [
        (384, 384, 384),
        (1024, 1024, 1024),
        (384, 2560, 864),
        (1536, 640, 3456),
    ] {
        let (a, b, mut c) = (noise(m * k), noise(k * n), vec![0.0; m * n]);
        let seconds = best(|| gemm::nn((m, n, k), 1.0, &a, &b, 0.0, &mut c));
        let rate = 2e-9 * (m * n * k) as f64 / seconds;
        println!("sgemm {m}x{n}x{k}: {rate:.1} GFLOP/s");
        peak = peak.max(rate);
    }
    peak
}

struct Report {
    peak: f64,
    filter: String,
}

impl Report {
    fn line(&self, name: &str, flop: f64, f: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        let seconds = best(f);
        let rate = flop * 1e-9 / seconds;
        println!(
            "{name:28} {:9.3} ms {rate:8.1} GFLOP/s {:5.1} %",
            seconds * 1e3,
            100.0 * rate / self.peak
        );
    }

    fn bytes(&self, name: &str, bytes: usize, f: impl FnMut()) {
        if !name.contains(&self.filter) {
            return;
        }
        let seconds = best(f);
        println!(
            "{name:28} {:9.3} ms {:8.1} GB/s",
            seconds * 1e3,
            bytes as f64 * 1e-9 / seconds
        );
    }
}

fn layer(report: &Report, name: &str, g: Conv, size: usize, b: usize) {
    let (p, q) = g.out_size(size, size).expect("a layer that fits");
    let flop = 2.0 * (b * p * q * g.weight_len()) as f64;
    let (x, weight, dy) = (
        noise(b * g.channels * size * size),
        noise(g.weight_len()),
        noise(b * g.out * p * q),
    );
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
    report.line(&format!("conv-forward-{name}-b{b}"), flop, || {
        conv::forward(&g, b, size, size, &x, &weight, &mut y)
    });
    report.line(&format!("conv-weight-{name}-b{b}"), flop, || {
        conv::weight_grad(&g, b, size, size, &x, &dy, &mut dw)
    });
    report.line(&format!("conv-input-{name}-b{b}"), flop, || {
        conv::input_grad(&g, b, size, size, &dy, &weight, &mut dx)
    });
    let zeros = Conv {
        pad_mode: PadMode::Zeros,
        ..g
    };
    report.line(&format!("conv-input-zeros-{name}-b{b}"), flop, || {
        conv::input_grad(&zeros, b, size, size, &dy, &weight, &mut dx)
    });
    softhebb(
        report,
        &format!("softhebb-step-{name}-b{b}"),
        &g,
        (b, size),
        &x,
        weight,
        &mut y,
    );
}

/// Forward, competition, correlation, delta, update and new norms.
fn softhebb(
    report: &Report,
    name: &str,
    g: &Conv,
    (b, size): (usize, usize),
    x: &[f32],
    mut weight: Vec<f32>,
    u: &mut [f32],
) {
    let flop = 4.0 * (u.len() * g.fan_in()) as f64;
    let (mut c, mut delta) = (weight.clone(), weight.clone());
    let [mut decay, mut activity, mut row_max, mut norms] = [(); 4].map(|()| vec![0.0; g.out]);
    let rule = Competition::SoftKrotov { beta: 1.0 };
    report.line(name, flop, || {
        let out = Outputs {
            u,
            correlation: &mut c,
            decay: &mut decay,
            activity: &mut activity,
            y: None,
        };
        compete::step(
            g,
            b,
            size,
            size,
            x,
            &weight,
            None,
            false,
            &|tile| rule.apply(tile),
            out,
        );
        update::row_norms(g.fan_in(), 2.0, &weight, &mut norms);
        update::delta(g.fan_in(), &weight, &decay, &c, &mut delta, &mut row_max);
        let most = row_max.iter().copied().fold(1e-30, f32::max);
        let scale: Vec<f32> = norms
            .iter()
            .map(|n| 1e-3 * (n - 1.0f32).abs().sqrt() / most)
            .collect();
        update::apply(g.fan_in(), &scale, &delta, &mut weight);
    });
}

fn depthwise(report: &Report) {
    let (b, c, size) = (64, 36, 32);
    for (k, stride, dilation) in [(3, 1, 1), (5, 1, 1), (3, 1, 2), (5, 1, 2), (3, 2, 1)] {
        let g = Conv {
            groups: c,
            stride: [stride; 2],
            dilation: [dilation; 2],
            ..Conv::square(c, c, k)
        }
        .padded(dilation * (k / 2), PadMode::Zeros);
        let (p, q) = g.out_size(size, size).expect("a layer that fits");
        let (x, weight, dy) = (
            noise(b * c * size * size),
            noise(g.weight_len()),
            noise(b * c * p * q),
        );
        let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), weight.clone());
        let flop = 2.0 * (b * p * q * g.weight_len()) as f64;
        let name = format!("depthwise-{k}x{k}-s{stride}-d{dilation}");
        report.line(&format!("{name}-forward"), flop, || {
            conv::forward(&g, b, size, size, &x, &weight, &mut y)
        });
        report.line(&format!("{name}-backward"), 2.0 * flop, || {
            conv::input_grad(&g, b, size, size, &dy, &weight, &mut dx);
            conv::weight_grad(&g, b, size, size, &x, &dy, &mut dw);
        });
    }
}

fn memory_bound(report: &Report) {
    for (c, size) in [(96, 32), (384, 16)] {
        let (b, d) = (10, Planes::new(10, c, size * size));
        let (x, dy) = (noise(d.len()), noise(d.len()));
        let [mut y, mut dx] = [x.clone(), x.clone()];
        let [mut mean, mut var] = [(); 2].map(|()| vec![0.0; c]);
        let n = 4 * d.len();
        let at = |what: &str| format!("{what}-{c}x{size}");
        report.bytes(&at("copy"), 2 * n, || y.copy_from_slice(&x));
        let g = Pool::square(4, 2, 1);
        let (p, q) = g.out_size(size, size).expect("a pool that fits");
        let mut small = vec![0.0; b * c * p * q];
        let mut places = vec![0u32; small.len()];
        report.bytes(&at("pool-max-forward"), n, || {
            pool::max_forward(&g, b * c, size, size, &x, &mut small, Some(&mut places))
        });
        let dsmall = small.clone();
        report.bytes(&at("pool-max-backward"), n, || {
            pool::max_backward((b * c, p * q), (size, size), &dsmall, &places, &mut dx)
        });
        report.bytes(&at("pool-avg-forward"), n, || {
            pool::avg_forward(&g, b * c, size, size, true, &x, &mut small)
        });
        report.bytes(&at("batchnorm-forward"), 2 * n, || {
            norm::batch_forward_train(d, 1e-5, &x, None, &mut mean, &mut var, &mut y)
        });
        report.bytes(&at("batchnorm-backward"), 3 * n, || {
            let out = norm::Gradients {
                dx: Some(&mut dx),
                affine: None,
            };
            norm::batch_backward_train(d, 1e-5, &x, &dy, &mean, &var, None, out);
        });
        report.bytes(&at("triangle-0.7-forward"), 2 * n, || {
            activation::triangle_forward(d, 0.7, &x, &mut y)
        });
        report.bytes(&at("triangle-0.7-backward"), 3 * n, || {
            activation::triangle_backward(d, 0.7, &x, &dy, &mut dx)
        });
        report.bytes(&at("softmax-forward"), 2 * n, || {
            activation::softmax_channels_forward(d, 1.0, &x, &mut y)
        });
        let mut padded = vec![0.0; b * c * (size + 2) * (size + 2)];
        report.bytes(&at("reflect-pad"), 2 * n, || {
            pad::pad(PadMode::Reflect, [1; 4], b * c, size, size, &x, &mut padded)
        });
        let (mut m, mut v) = (vec![0.0; d.len()], vec![0.0; d.len()]);
        let rates = StepRates {
            lr: 1e-3,
            weight_decay: 0.0,
            decoupled_decay: 0.0,
            clip: 0.0,
        };
        let moments = AdamRates {
            betas: [0.9, 0.999],
            eps: 1e-8,
            step: 1,
        };
        report.bytes(&at("adam"), 7 * n, || {
            optimise::adam(&rates, &moments, &dy, &mut y, &mut m, &mut v)
        });
    }
}

fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    println!("{:?}, {} threads", simd::isa(), threads::count());
    let report = Report {
        peak: sgemm_peak(),
        filter,
    };
    let batches = std::env::args().nth(2).unwrap_or_else(|| "10,64".into());
    for b in batches.split(',').map(|b| b.parse().expect("a batch size")) {
        layer(
            &report,
            "l1",
            Conv::square(3, 96, 5).padded(2, PadMode::Reflect),
            32,
            b,
        );
        layer(
            &report,
            "l2",
            Conv::square(96, 384, 3).padded(1, PadMode::Reflect),
            16,
            b,
        );
        layer(
            &report,
            "l3",
            Conv::square(384, 1536, 3).padded(1, PadMode::Reflect),
            8,
            b,
        );
    }
    depthwise(&report);
    memory_bound(&report);
}
