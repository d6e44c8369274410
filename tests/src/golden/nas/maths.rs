//! Files that need no network: CMA-ES and the derivation of genotypes.

use biorule::search::cma::CmaEs;
use biorule::search::derive::{self, Rows};
use biorule::search::relax::softmax;
use biorule::search::space::{CellShape, Primitive, Space, sets};
use serde_json::Value;

use crate::Result;
use crate::golden::{Checks, File, Recogniser, Tolerance};

/// Kinds of files.
pub(super) fn recognisers() -> Vec<Recogniser> {
    vec![
        Recogniser {
            name: "cma",
            understands: |file| file.has("gen0.p_sigma"),
            run: cma,
        },
        Recogniser {
            name: "derivation",
            understands: |file| file.has("darts.all_zero.normal"),
            run: derivation,
        },
    ]
}

/// States after each generation that is told.
fn cma(file: &File, checks: &mut Checks) -> Result<()> {
    // Both sides compute in double precision, in another order.
    let close = Tolerance::Largest(1e-10);
    let population = file.count("population")?;
    let sigma = file.values("sigma0")?[0];
    let mut cma = CmaEs::new(&file.values("mean0")?, sigma, population)?;
    let constants = cma.constants().clone();
    checks.compare_values(
        "weights",
        &constants.weights,
        &file.values("weights")?,
        close,
    );
    let golden = file.json("constants")?;
    for (name, own) in [
        ("mu", constants.mu as f64),
        ("mu_eff", constants.mu_eff),
        ("cc", constants.cc),
        ("c1", constants.c1),
        ("cmu", constants.cmu),
        ("c_sigma", constants.c_sigma),
        ("d_sigma", constants.d_sigma),
        ("chi_n", constants.chi),
    ] {
        let golden = golden.get(name).and_then(Value::as_f64);
        checks.compare_values(
            name,
            &[own],
            &[golden.ok_or("a constant is missing")?],
            close,
        );
    }
    for generation in (0..).take_while(|g| file.has(&format!("gen{g}.x"))) {
        let part = |name: &str| file.values(&format!("gen{generation}.{name}"));
        let x = part("x")?;
        let samples: Vec<Vec<f64>> = x.chunks(x.len() / population).map(Vec::from).collect();
        // Samples are given, but a search asks before it tells.
        cma.ask_all(0, 0)?;
        cma.tell(&samples, &part("f")?)?;
        let state = cma.state();
        for (name, own) in [
            ("mean", state.mean),
            ("sigma", vec![state.sigma]),
            ("C", state.covariance),
            ("p_sigma", state.path_sigma),
            ("p_c", state.path_covariance),
        ] {
            checks.compare_values(
                &format!("gen{generation}.{name}"),
                &own,
                &part(name)?,
                close,
            );
        }
    }
    Ok(())
}

/// The space whose candidates these names are, in this order.
pub(super) fn space(names: &Value) -> Result<Space> {
    let names = names.as_array().ok_or("a list of primitives")?;
    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    let mut space = sets::named(match names.len() {
        8 => "darts",
        7 => "egnas",
        22 => "bionas22",
        _ => return Err("a list of primitives of no space".into()),
    })?;
    assert_eq!(space.cell, CellShape::darts(4));
    // The order is the file's; ours has to be the same.
    let given: Vec<Primitive> = names.iter().map(|n| primitive(n)).collect::<Result<_>>()?;
    if given != space.candidates {
        return Err(format!("space `{}` has other candidates", space.name).into());
    }
    space.name = "golden".to_owned();
    Ok(space)
}

/// A primitive by its name in the reference.
pub(super) fn primitive(name: &str) -> Result<Primitive> {
    // DARTS's text is how such names are read; two edges are a node.
    let pair = format!("[('{name}', 0), ('{name}', 1)]");
    let text =
        format!("Genotype(normal={pair}, normal_concat=[2], reduce={pair}, reduce_concat=[2])");
    let genotype = biorule::search::Genotype::read(&text)?;
    Ok(genotype.cells["normal"].edges[0].op.clone())
}

fn derivation(file: &File, checks: &mut Checks) -> Result<()> {
    let primitives = file.json("primitives")?;
    for short in ["darts", "egnas", "bionas"] {
        let space = space(&primitives[short])?;
        let prefix = format!("{short}.");
        let cases: Vec<String> = file
            .names()
            .filter(|n| n.starts_with(&prefix) && n.ends_with(".normal"))
            .map(|n| n.trim_end_matches(".normal").to_owned())
            .collect();
        for case in cases {
            for kind in ["normal", "reduce"] {
                let columns = space.candidates.len();
                let name = format!("{case}.alpha_{kind}");
                let alphas = match file.has(&name) {
                    true => file.values(&name)?,
                    false => vec![0.0; space.edges() * columns],
                };
                let rows: Rows = alphas.chunks(columns).map(softmax).collect();
                let chosen = derive::strongest(&space, &rows)?;
                let own: Vec<f64> = chosen
                    .iter()
                    .flat_map(|c| [c.candidate as f64, c.place.from as f64])
                    .collect();
                let name = format!("{case}.{kind}");
                checks.compare_values(&name, &own, &file.values(&name)?, Tolerance::Exact);
            }
        }
    }
    Ok(())
}
