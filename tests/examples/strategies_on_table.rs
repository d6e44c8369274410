//! Strategies on a table of NAS-Bench-201's cells: the mean over seeds of the best accuracy that
//! each finds.
//!
//! `cargo run -p biorule-tests --example strategies_on_table -- TABLE.csv [EVALUATIONS] [SEEDS]`
//! reads a table with the columns `architecture` and `accuracy` (docs/search.md).

use std::path::PathBuf;

use biorule::search::drive::drive;
use biorule::search::evaluate::Table;
use biorule::search::pareto::{Goal, Objective};
use biorule::search::space::sets;
use biorule::search::strategy::{Evolution, Halving, Random, Scene, Strategy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize, usual: u64| words.get(i).map_or(Ok(usual), |w| w.parse());
    let file = PathBuf::from(words.first().ok_or("name a table")?);
    let (evaluations, seeds) = (number(1, 100)?, number(2, 300)?);
    let goals = vec![Goal {
        objective: Objective::Accuracy,
        bound: None,
    }];
    let mut table = Table::read(&file, &goals)?;
    println!(
        "{} architectures, best {:.2}",
        table.len(),
        table.best(&goals[0])
    );
    type Make = fn(Scene, u64) -> biorule::Result<Box<dyn Strategy>>;
    let strategies: [(&str, Make); 3] = [
        ("random", |s, n| Ok(Box::new(Random::new(s, n)?))),
        ("evolution, population 20, sample 5", |s, n| {
            Ok(Box::new(Evolution::new(s, n, 20, 5)?))
        }),
        // The table knows whole trainings only, so that a rung decides as well as the last.
        ("halving by 3", |s, n| Ok(Box::new(Halving::new(s, n, 3)?))),
    ];
    for (name, make) in strategies {
        let mut all = Vec::new();
        for seed in 0..seeds {
            let scene = Scene {
                space: sets::named("nasbench201")?,
                goals: goals.clone(),
                seed,
            };
            let strategy = make(scene, evaluations)?;
            let answers = drive(&*strategy, &mut table, Vec::new(), &mut |_| Ok(true))?;
            all.push(answers.iter().map(|a| a.values[0]).fold(f64::MIN, f64::max));
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let squares: f64 = all.iter().map(|v| (v - mean).powi(2)).sum();
        let deviation = (squares / all.len() as f64).sqrt();
        println!("{name:<36} {mean:.2} ± {deviation:.2}");
    }
    Ok(())
}
