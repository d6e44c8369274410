//! Files of the original notebook, in f64: the variant `original` with a rate that
//! falls linearly by epoch.

use crate::Result;
use crate::golden::{Checks, File};
use crate::network::{TestNetwork, layer, layer_block};
use biorule::config::{Drive, LocalRatePlan, MapPlan, ParamValue};
use biorule::train::schedule::local_rate;
use candle_core::DType;

use super::{WEIGHT, limit};

pub fn run(f: &File, checks: &mut Checks) -> Result<()> {
    for path in ["ops", "fused"] {
        epochs(f, path, checks)?;
    }
    Ok(())
}

fn epochs(f: &File, path: &str, checks: &mut Checks) -> Result<()> {
    let start = f.tensor("synapses0")?;
    let (units, inputs) = start.dims2()?;
    let params = [
        ("variant", ParamValue::Text("original".into())),
        ("path", ParamValue::Text(path.into())),
        ("lebesgue_p", ParamValue::Float(f.number("p")?)),
        ("ranking_param", ParamValue::Int(f.count("k")? as i64)),
        ("delta", ParamValue::Float(f.number("delta")?)),
    ];
    let plan = layer("krotov", MapPlan::Dense, units, &params);
    let mut driven = TestNetwork::build(&[layer_block("bio", plan)], &[inputs], DType::F64)?;
    driven.train(&["bio"], Drive::Local);
    driven.set(&[(WEIGHT, start)])?;

    let (epochs, rows) = (f.count("Nep")?, f.count("Num")?);
    let per_epoch = f.count("Ns")? / rows;
    let schedule = LocalRatePlan::Linear {
        start: f.number("eps0")?,
    };
    for epoch in 0..epochs {
        let data = f.tensor(&format!("data_epoch{epoch}"))?;
        for batch in 0..per_epoch {
            let b = (epoch * per_epoch + batch) as u64;
            let rate = local_rate(&schedule, b, per_epoch as u64, epochs as u64);
            driven.clock.local_rate = Some(rate);
            driven.learn(&data.narrow(0, batch * rows, rows)?)?;
        }
        let golden = format!("synapses_after_epoch{epoch}");
        let got = driven.tensor(WEIGHT)?;
        checks.compare(&golden, &got, &f.tensor(&golden)?, limit(DType::F64))?;
    }
    Ok(())
}
