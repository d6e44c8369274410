//! `pictures/` of a run folder: what a page shows of the run, a file each.

use std::path::Path;

use super::chart::{Body, Drawing};
use super::draw::{held, learn, units};
use super::gather;
use super::runs::{Experiment, Run};
use super::table::word;
use crate::run::identity::RunRecord;
use crate::run::{Reporter, atomic};
use crate::{Error, Result};

/// Name of the folder.
pub const FOLDER: &str = "pictures";

/// Draws the run in `folder`, whose other files are as they stay: first-layer filters, curves, radii,
/// winners, angles, mistakes. Pictures of pixels also go to the TensorBoard of a reporter, at a step.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn draw(folder: &Path, mut board: Option<(&mut Reporter, u64)>) -> Result<()> {
    let run = whole(folder)?;
    let name = run.record.name.clone();
    let experiment = Experiment {
        short: name.clone(),
        name,
        runs: vec![run],
    };
    let into = folder.join(FOLDER);
    std::fs::create_dir_all(&into).map_err(|e| Error::storage_io(&into, &e))?;
    for drawing in drawings(&experiment)? {
        let (ending, bytes) = drawing.file();
        atomic::write(&into.join(format!("{}.{ending}", drawing.name)), &bytes)?;
        if let (Body::Pixels(png), Some((reporter, step))) = (&drawing.body, &mut board) {
            let size = [drawing.size.1 as usize, drawing.size.0 as usize];
            reporter.image(&format!("pictures/{}", drawing.name), size, png, *step)?;
        }
    }
    Ok(())
}

/// The run in `folder`, with its weights.
fn whole(folder: &Path) -> Result<Run> {
    let record = RunRecord::read(&folder.join("run.json"))?;
    let mut run = gather::run(folder.to_owned(), record);
    run.read_weights();
    Ok(run)
}

/// Writes `drawings` into `folder`, made where it is missing. A name that is there more than once gets
/// a number.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn write(drawings: &[Drawing], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::storage_io(folder, &e))?;
    for (i, drawing) in drawings.iter().enumerate() {
        let before = drawings[..i]
            .iter()
            .filter(|d| d.name == drawing.name)
            .count();
        let number = if before > 0 {
            format!("-{}", before + 1)
        } else {
            String::new()
        };
        let (ending, bytes) = drawing.file();
        let file = folder.join(format!("{}{number}.{ending}", drawing.name));
        std::fs::write(&file, bytes).map_err(|e| Error::storage_io(&file, &e))?;
    }
    Ok(())
}

/// Whether the run in `folder` has been drawn.
#[must_use]
pub fn are_in(folder: &Path) -> bool {
    folder.join(FOLDER).is_dir()
}

fn drawings(experiment: &Experiment) -> Result<Vec<Drawing>> {
    let run = experiment.first();
    let mut all: Vec<Drawing> = units::filters(run)?.into_iter().collect();
    all.extend(learn::learning(experiment));
    all.extend(learn::radii(run));
    for block in run.blocks() {
        let kind = run.rule_of(block).map_or(super::kind::Kind::None, |r| r.1);
        all.extend(units::winners(run, word(block, "name"), kind));
    }
    all.extend(learn::angles(std::slice::from_ref(experiment)));
    all.extend(units::fields(run)?);
    all.extend(held::confusion(run));
    Ok(all)
}

/// Draws what excites units of the run in `folder` into its pictures.
///
/// # Errors
/// Storage error where the disk refuses.
pub fn draw_fields(folder: &Path) -> Result<()> {
    write(&units::fields(&whole(folder)?)?, &folder.join(FOLDER))
}
