//! Training steps of every rule of every plugin, twice from one seed: on the CPU, where all
//! must repeat bit for bit, and on a GPU where there is one.

use biorule::config::{Resolved, RuleSchema, Sources, resolve};
use biorule::device::{DeviceChoice, Placement};
use biorule::train::{self, EpochEvent, Job, Progress, TrainData};
use biorule_test_environment::{Need, skip};
use biorule_tests::Result;
use biorule_tests::plugins::{plugin_folder, registry};
use candle_core::{DType, Device, Tensor};

/// Networks whose second block learns by the rule in question; compiled in, as a GPU machine
/// has the program of this test alone.
const CONVOLUTIONS: &str = include_str!("../data/every-rule.toml");
const DENSE: &str = include_str!("../data/every-rule-dense.toml");

/// Keeps the tensors of the last checkpoint.
#[derive(Default)]
struct Last(Vec<(String, Tensor)>);

impl Progress for Last {
    fn epoch(&mut self, _: &EpochEvent<'_>) -> biorule::Result<()> {
        Ok(())
    }
    fn checkpoint(
        &mut self,
        tensors: &[(String, Tensor)],
        _: &serde_json::Value,
        _: bool,
    ) -> biorule::Result<()> {
        self.0 = tensors.to_vec();
        Ok(())
    }
}

/// The GPU, or why there is none; the one that `BIORULE_TEST_DEVICE` names, if it names one.
fn gpu() -> std::result::Result<Device, String> {
    let wanted = biorule_tests::device();
    if wanted.is_cuda() {
        return Ok(wanted);
    }
    let placement = Placement::open(DeviceChoice::Auto, false).expect("auto never fails");
    match placement.fallback {
        Some(reason) => Err(reason),
        None => Ok(placement.device),
    }
}

/// The configuration `text` with `rule` in its second block.
fn plan(text: &str, rule: &str, dtype: &str) -> Result<Resolved> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("every-rule.toml");
    std::fs::write(&file, text)?;
    let sources = Sources {
        files: vec![file],
        sets: vec![
            format!("blocks.second.rule=\"{rule}\""),
            format!("dtype=\"{dtype}\""),
        ],
        ..Sources::default()
    };
    let host = biorule::app::open(&[plugin_folder().into()])?;
    Ok(resolve(&sources, &*host)?)
}

/// All tensors after the last epoch, `f64` on the CPU.
fn trained(plan: &Resolved, data: &TrainData, device: &Device) -> Result<Vec<(String, Vec<f64>)>> {
    let job = Job {
        plan: &plan.plan,
        seed: 0,
        rules: registry(),
        data,
        device: device.clone(),
        steps: None,
    };
    let mut last = Last::default();
    train::run(&job, &mut last, None)?;
    let values = |t: &Tensor| -> Result<Vec<f64>> {
        let t = t.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        Ok(t.flatten_all()?.to_vec1()?)
    };
    let named = last.0.iter();
    named
        .map(|(name, t)| Ok((name.clone(), values(t)?)))
        .collect()
}

/// The largest difference in any tensor relative to its largest value, and that tensor.
fn distance(got: &[(String, Vec<f64>)], want: &[(String, Vec<f64>)]) -> (f64, String) {
    assert_eq!(got.len(), want.len());
    let mut worst = (0.0, String::new());
    for ((name, got), (other, want)) in got.iter().zip(want) {
        assert_eq!((name, got.len()), (other, want.len()));
        let largest = want.iter().fold(1e-30f64, |m, v| m.max(v.abs()));
        for (a, b) in got.iter().zip(want) {
            let d = (a - b).abs() / largest;
            // NaN must not pass for agreement.
            if d > worst.0 || d.is_nan() {
                worst = (if d.is_nan() { f64::INFINITY } else { d }, name.clone());
            }
        }
    }
    worst
}

/// Each network of each rule: rule, kind of layer, element type and plan.
fn networks() -> Result<Vec<(String, &'static str, &'static str, Resolved)>> {
    let host = biorule::app::open(&[plugin_folder().into()])?;
    // The folder holds specimens of broken plugins too.
    let mut rules: Vec<RuleSchema> = host.rules();
    rules.retain(|rule| registry().get(&rule.name).is_ok());
    assert!(rules.len() > 10, "{} rules", rules.len());
    let mut all = Vec::new();
    for rule in &rules {
        let files = [
            ("convolution", CONVOLUTIONS, rule.conv),
            ("dense", DENSE, rule.dense),
        ];
        for (kind, text, _) in files.iter().filter(|(.., serves)| *serves) {
            for dtype in ["f32", "f64"] {
                all.push((
                    rule.name.clone(),
                    *kind,
                    dtype,
                    plan(text, &rule.name, dtype)?,
                ));
            }
        }
    }
    Ok(all)
}

/// Trains every network on the CPU and on `other`; each tensor agrees within `limit` of its
/// largest value, by element type.
fn compare_with(other: &Device, limit: fn(&str) -> f64) -> Result<()> {
    let mut bad = Vec::new();
    for (rule, kind, dtype, plan) in networks()? {
        let data = TrainData::open(&plan.plan)?;
        let want = trained(&plan, &data, &Device::Cpu)?;
        let got = trained(&plan, &data, other)?;
        let ((d, tensor), limit) = (distance(&got, &want), limit(dtype));
        println!("{rule:<28} {kind:<11} {dtype}  {d:.1e} of {limit:.0e}  {tensor}");
        if d > limit {
            bad.push(format!("{rule} in {kind}, {dtype}: {d:.1e} ({tensor})"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}

#[test]
fn every_rule_repeats_its_training_bit_for_bit_on_the_cpu() -> Result<()> {
    compare_with(&Device::Cpu, |_| 0.0)
}

#[test]
fn every_rule_trains_alike_on_the_cpu_and_on_a_gpu() -> Result<()> {
    match gpu() {
        // TF32 is off; between devices sums have another order.
        Ok(gpu) => compare_with(&gpu, |dtype| if dtype == "f32" { 1e-3 } else { 1e-7 }),
        Err(reason) => {
            skip(Need::Gpu, &reason);
            Ok(())
        }
    }
}
