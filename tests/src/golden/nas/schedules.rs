//! The file of rates, label smoothing, cutout and the optimiser of the architecture.

use biorule::config::{Augment, DropPathPlan, Loss, Moment, SchedulePlan, Warmup};
use biorule::data::Answers;
use biorule::nn::Tables;
use biorule::search::relaxed::{RelaxedPlan, fitness};
use biorule::train::Architecture;
use biorule::train::criterion::Criterion;
use biorule::train::schedule::warmed;
use candle_core::{DType, Tensor};

use super::recipe::{self, Kind};
use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};
use crate::numbers::values;

/// Stored values are rounded to single precision.
const ROUNDED: Tolerance = Tolerance::Largest(1e-7);

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![Recogniser {
        name: "schedules",
        understands: |file| file.has("drop_path_600") && file.has("ls.loss"),
        run,
    }]
}

fn run(file: &File, checks: &mut Checks) -> Result<()> {
    rates(file, checks)?;
    smoothing(file, checks)?;
    cutout(file, checks)?;
    adam(file, checks)
}

fn rates(file: &File, checks: &mut Checks) -> Result<()> {
    let cosine = |floor| SchedulePlan::Cosine { floor };
    // EG-NAS on ImageNet falls by a fifth of the slope in its last five epochs.
    let bent = "max((epochs - 5 - epoch)/(epochs - 5), \
                min((epochs - epoch)/(5*(epochs - 5)), 1/(epochs - 5)))";
    let formula = SchedulePlan::Formula {
        factor: bent.parse()?,
    };
    let step = SchedulePlan::Exponential { gamma: 0.97 };
    let warm = Some(Warmup::Epochs(5));
    for (name, base, schedule, warmup, late) in [
        ("search_cos_intended", 0.025, &cosine(0.001), None, 0),
        // The released loop moves its schedule before it trains.
        (
            "search_cos_modern_torch_used",
            0.025,
            &cosine(0.001),
            None,
            1,
        ),
        ("train_cos_intended", 0.025, &cosine(0.0), None, 0),
        ("egnas_search_cos_intended", 0.1, &cosine(0.0), None, 0),
        ("egnas_imagenet_linear_warmup", 0.5, &formula, warm, 0),
        ("imagenet_step", 0.1, &step, None, 0),
    ] {
        let golden = file.values(name)?;
        let epochs = golden.len() as u64;
        let one = |epoch| {
            let at = Moment::at_epoch(epoch + late, epochs);
            warmed(schedule, warmup.as_ref(), base, &at)
        };
        let own: Vec<f64> = (0..epochs).map(one).collect();
        checks.compare_values(name, &own, &golden, ROUNDED);
    }
    checks.left_out(
        "search_cos_modern_torch_reported",
        "what the released loop prints, and trains with nowhere",
    );
    let golden = file.values("drop_path_600")?;
    let epochs = golden.len() as u64;
    let plan = DropPathPlan { p: 0.2, ramp: true };
    let own: Vec<f64> = (0..epochs).map(|e| plan.at(e, epochs)).collect();
    checks.compare_values("drop_path_600", &own, &golden, ROUNDED);
    let golden = file.values("egnas_sigma_intended")?;
    let own: Vec<f64> = (0..golden.len() as u64).map(fitness::sigma).collect();
    checks.compare_values("egnas_sigma_intended", &own, &golden, ROUNDED);
    Ok(())
}

fn smoothing(file: &File, checks: &mut Checks) -> Result<()> {
    let labels = file.tensor("ls.y")?.to_dtype(DType::U32)?;
    let answers = Answers::Classes(labels);
    let criterion = Criterion::from(Loss::CrossEntropy).smoothed(0.1);
    let scored = criterion.score(&file.tensor("ls.logits")?, &answers)?;
    let mean = scored.sums.to_vec1::<f64>()?[0] / answers.len() as f64;
    let golden = file.values("ls.loss")?;
    checks.compare_values("ls.loss", &[mean], &golden, Tolerance::Largest(1e-5));
    Ok(())
}

fn cutout(file: &File, checks: &mut Checks) -> Result<()> {
    let augment = Augment {
        cutout: 16,
        ..Augment::default()
    };
    let mask = file.tensor("cutout.mask")?;
    let (images, height, width) = mask.dims3()?;
    let (rows, columns) = (
        file.values("cutout.centre_y")?,
        file.values("cutout.centre_x")?,
    );
    let mut own = vec![1.0; images * height * width];
    for (image, plane) in own.chunks_mut(height * width).enumerate() {
        let corner = [rows[image], columns[image]].map(|c| augment.corner(c as usize));
        let [rows, columns] = augment.hole(corner, [height, width]);
        for row in rows {
            plane[row * width..][columns.clone()].fill(0.0);
        }
    }
    let golden = file.values("cutout.mask")?;
    checks.compare_values("cutout.mask", &own, &golden, Tolerance::Exact);
    Ok(())
}

fn adam(file: &File, checks: &mut Checks) -> Result<()> {
    let table = |tensor: &Tensor| -> Result<Tables> {
        let columns = tensor.dims2()?.1;
        let rows = values(tensor)?.chunks(columns).map(Vec::from).collect();
        Ok(Tables::from([("normal".to_owned(), rows)]))
    };
    // `adam.alpha0` holds the last values, not the first: the reference changed it in place. The
    // first are the recipe's.
    checks.left_out("adam.alpha0", "the same numbers as the last");
    let shape = file.tensor("adam.alpha0")?;
    let first = recipe::tensor(Kind::Alpha, "adam.alpha", shape.dims())?;
    let mut architecture = Architecture::new(&table(&first)?, &RelaxedPlan::ADAM)?;
    for step in (0..).take_while(|k| file.has(&format!("adam.g{k}"))) {
        let rate = architecture.base_rate();
        let gradient = table(&file.tensor(&format!("adam.g{step}"))?)?;
        architecture.step(&gradient, rate)?;
        let own = architecture.values()?["normal"].concat();
        let name = format!("adam.alpha{}", step + 1);
        checks.compare_values(&name, &own, &file.values(&name)?, ROUNDED);
    }
    Ok(())
}
