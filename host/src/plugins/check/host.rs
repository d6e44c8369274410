//! Checks that need the host: threads and devices.

use biorule_plugin_api::sdk::Result;
use biorule_plugin_api::testkit::{Array, Call, Held, Outcome, Seen, Site, Subject};
use candle_core::Device;

use super::subject::Loaded;

/// How far sums may be apart that are cut otherwise, beside the size of the tensor.
const APART: f64 = 1e-4;

/// Checks of the host, beside those of the plugin interface's testkit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostCheck {
    /// One thread and several give the same weights.
    Threads,
    /// A GPU gives the weights that the CPU gives.
    Devices,
}

impl HostCheck {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Threads, Self::Devices];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Devices => "devices",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// The rule fails in a call.
    pub fn run(self, loaded: &Loaded<'_>) -> Result<Outcome> {
        match self {
            Self::Threads => threads(loaded),
            Self::Devices => devices(loaded),
        }
    }
}

/// A layer that is large enough to be cut into parts.
fn site(loaded: &Loaded<'_>) -> Site {
    match loaded.facts().dense {
        true => Site::dense(96, 80),
        false => Site::conv([8, 12, 12], 16, 3),
    }
}

/// The state after two steps of one layer, and its last output, which is all there is to see of rules
/// that learn from errors alone.
fn after(loaded: &Loaded<'_>) -> Result<Vec<Held>> {
    let (site, facts) = (site(loaded), loaded.facts());
    let rule = loaded.bind(&site)?;
    let mut state = rule.start(5)?;
    let mut last = None;
    for number in 0..2 {
        let call = Call {
            step: number,
            batch: 32,
            ..Call::default()
        };
        let x = Array::noise(40 + number, &[&[32], site.input.as_slice()].concat());
        let out = rule.forward(&call, &state, &x)?;
        let labels: Vec<usize> = (0..32).map(|i| i % site.classes).collect();
        let target = Array::one_hot(&labels, site.classes);
        if facts.learns_locally() {
            let seen = Seen {
                x: &x,
                y: &out.y,
                kept: &out.kept,
                target: facts.wants_target.then_some(&target),
            };
            let changes = rule.learn(&call, &state, seen)?;
            biorule_plugin_api::testkit::apply(&mut state, &changes)?;
        }
        last = Some(Held {
            name: format!("output {number}"),
            role: biorule_plugin_api::sdk::Role::Statistic,
            value: out.y,
        });
    }
    state.extend(last);
    Ok(state)
}

fn compare(a: &[Held], b: &[Held], what: &str) -> Outcome {
    let mut farthest: f64 = 0.0;
    for (a, b) in a.iter().zip(b) {
        let apart = a.value.apart(&b.value);
        if apart.is_nan() || apart > APART {
            return Outcome::Failed(format!(
                "`{}` differs by {apart:.1e} of its size between {what}",
                a.name
            ));
        }
        farthest = farthest.max(apart);
    }
    Outcome::Passed(match farthest {
        0.0 => format!("the same bits with {what}"),
        far => format!("{far:.0e} apart between {what}"),
    })
}

fn threads(loaded: &Loaded<'_>) -> Result<Outcome> {
    let with = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(count)
            .start_handler(|_| {
                biorule_kernels::denormals::set_flush_denormal(true);
            })
            .build();
        let pool = pool.map_err(|e| biorule_plugin_api::sdk::RuleError::rule(e.to_string()))?;
        pool.install(|| after(loaded))
    };
    Ok(compare(&with(1)?, &with(4)?, "1 and 4 threads"))
}

fn devices(loaded: &Loaded<'_>) -> Result<Outcome> {
    let Ok(device) = Device::new_cuda(0) else {
        return Ok(Outcome::Skipped(
            "no GPU that this program can use (docs/cuda.md)".into(),
        ));
    };
    let there = Loaded {
        device,
        registry: loaded.registry,
        entry: loaded.entry,
    };
    Ok(compare(
        &after(loaded)?,
        &after(&there)?,
        "the CPU and the GPU",
    ))
}
