//! What an op costs through the plugin table, beside the same Candle op called
//! directly: `cargo run --release -p biorule-tests --example overhead`.
//!
//! Both are timed in turn, in bursts, in this one process; printed are medians of
//! the bursts and their ratio. The calls go the way a plugin's go: the SDK's
//! `Tensor`, the table's function pointers, boxed handles, caught panics.

use std::time::Instant;

use biorule::plugins::table::host_table;
use biorule_plugin_api::abi::{HostArg, host};
use biorule_plugin_api::sdk::Tensor as Handle;
use candle_core::{Device, Tensor};

const BURSTS: usize = 31;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Nanoseconds of one call, over enough calls for about two milliseconds.
fn burst(calls: u32, mut call: impl FnMut()) -> f64 {
    let started = Instant::now();
    (0..calls).for_each(|_| call());
    started.elapsed().as_nanos() as f64 / f64::from(calls)
}

fn main() {
    biorule::threads::setup();
    biorule::threads::start(0).expect("threads");
    host::install(HostArg(std::ptr::from_ref(host_table()).cast()));
    println!(
        "{:>10} {:>12} {:>12} {:>8}",
        "elements", "candle, ns", "table, ns", "ratio"
    );
    for n in [1usize, 64, 4096, 65_536] {
        let values: Vec<f32> = (0..n).map(|i| i as f32 * 0.5).collect();
        let a = Tensor::from_vec(values.clone(), n, &Device::Cpu).expect("a tensor");
        let h = Handle::build_f32(&[n], |out| out.copy_from_slice(&values)).expect("a handle");
        let calls = (2_000_000 / (150 + n as u32 / 4)).max(20);
        let (mut direct, mut table) = (Vec::new(), Vec::new());
        for _ in 0..BURSTS {
            direct.push(burst(calls, || {
                drop(std::hint::black_box((&a + &a).expect("a sum")))
            }));
            table.push(burst(calls, || {
                drop(std::hint::black_box(h.add(&h).expect("a sum")))
            }));
        }
        let (direct, table) = (median(direct), median(table));
        println!(
            "{n:>10} {direct:>12.0} {table:>12.0} {:>8.2}",
            table / direct
        );
    }
}
