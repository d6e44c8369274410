//! Properties of the rules `hebbian/hebb`, `hebbian/oja` and `hebbian/bionas`.

use biorule::config::{BlockPlan, Drive, LayerPlan, MapPlan, ParamValue};
use biorule::nn::Pass;
use biorule::plan::PadMode;
use biorule_tests::Result;
use biorule_tests::golden::Driven;
use biorule_tests::network::{TestNetwork, layer, layer_block};
use biorule_tests::numbers::noise;
use biorule_tests::plugins::Run;
use biorule_tests::windows::windows;
use candle_core::{DType, Tensor};

/// Groups, stride, dilation and uneven reflected padding at once.
fn conv() -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 2],
        stride: [2, 1],
        padding: [1, 0, 1, 2],
        dilation: [1, 2],
        groups: 2,
        padding_mode: PadMode::Reflect,
    }
}

fn square(padding: usize) -> MapPlan {
    MapPlan::Conv {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [padding; 4],
        dilation: [1, 1],
        groups: 1,
        padding_mode: PadMode::Zeros,
    }
}

fn text(value: &str) -> ParamValue {
    ParamValue::Text(value.into())
}

fn rows(t: &Tensor) -> Result<Vec<Vec<f64>>> {
    Ok(t.flatten_from(1)?.to_vec2()?)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A change of the weight of a unit by one sample: from its row, the window and the
/// outputs of its group, the unit's own being `outputs[unit]`.
type OneSample = fn(w: &[f64], x: &[f64], outputs: &[f64], unit: usize) -> Vec<f64>;

/// The mean of `one` over all samples and places, by units.
fn slow(map: &MapPlan, x: &Tensor, w: &Tensor, one: OneSample) -> Result<Vec<Vec<f64>>> {
    let groups = windows(map, x)?;
    let units = rows(w)?;
    let each = units.len() / groups.len();
    let mut changes = Vec::new();
    for (group, samples) in groups.iter().enumerate() {
        let w = &units[group * each..(group + 1) * each];
        let mut change = vec![vec![0.0; w[0].len()]; each];
        for x in samples {
            let outputs: Vec<f64> = w.iter().map(|w| dot(w, x)).collect();
            for unit in 0..each {
                let step = one(&w[unit], x, &outputs, unit);
                for (sum, step) in change[unit].iter_mut().zip(step) {
                    *sum += step / samples.len() as f64;
                }
            }
        }
        changes.append(&mut change);
    }
    Ok(changes)
}

fn assert_close(got: &[Vec<f64>], want: &[Vec<f64>], scale: f64, what: &str) {
    for (unit, (got, want)) in got.iter().zip(want).enumerate() {
        for (got, want) in got.iter().zip(want) {
            let want = scale * want;
            assert!(
                (got - want).abs() < 1e-13,
                "{what}, unit {unit}: {got}, {want}"
            );
        }
    }
}

#[test]
fn hebb_and_oja_equal_their_equations_on_a_grouped_convolution() -> Result<()> {
    let hebb: OneSample = |_, x, y, k| x.iter().map(|x| y[k] * x).collect();
    let oja: OneSample = |w, x, y, k| {
        let pairs = w.iter().zip(x);
        pairs.map(|(w, x)| y[k] * (x - y[k] * w)).collect()
    };
    let x = noise(1, &[3, 4, 6, 7], DType::F64)?;
    for (rule, one) in [("hebbian/hebb", hebb), ("hebbian/oja", oja)] {
        let plan = layer(rule, conv(), 6, &[("lr", ParamValue::Float(0.3))]);
        let mut driven = Driven::bind(&plan, &[4, 6, 7], DType::F64)?;
        let w = driven.get("weight")?.copy()?;
        let step = driven.learn(&x, None)?;
        let want = slow(&conv(), &x, &w, one)?;
        assert_close(&rows(&step.change("weight")?)?, &want, 0.3, rule);
    }
    Ok(())
}

#[test]
fn corrected_bionas_equals_its_equation_on_a_grouped_convolution() -> Result<()> {
    fn unit(v: &[f64]) -> Vec<f64> {
        let length = dot(v, v).sqrt().max(1e-12);
        v.iter().map(|v| v / length).collect()
    }
    let plain: OneSample = |_, x, y, k| unit(x).iter().map(|x| unit(y)[k] * x).collect();
    let oja: OneSample = |w, x, y, k| {
        let (x, y) = (unit(x), unit(y)[k]);
        w.iter().zip(x).map(|(w, x)| y * x - y * y * w).collect()
    };
    let x = noise(2, &[3, 4, 6, 7], DType::F64)?;
    for (decay, one) in [("none", plain), ("oja", oja)] {
        let params = [
            ("mode", text("corrected")),
            ("hebbian_scale", ParamValue::Float(0.2)),
            ("decay", text(decay)),
        ];
        let plan = layer("hebbian/bionas", conv(), 6, &params);
        let mut driven = Driven::bind(&plan, &[4, 6, 7], DType::F64)?;
        let w = driven.get("weight")?.copy()?;
        driven.learn(&x, None)?;
        let got = rows(&(driven.get("weight")? - &w)?)?;
        assert_close(&got, &slow(&conv(), &x, &w, one)?, 0.2, decay);
    }
    Ok(())
}

#[test]
fn oja_finds_the_first_principal_component() -> Result<()> {
    // One direction with nine times the variance of all others.
    let direction = [0.6, 0.0, -0.8, 0.0, 0.0];
    let along = noise(3, &[400, 1], DType::F64)?;
    let direction = Tensor::new(&direction[..], along.device())?;
    let x = (noise(4, &[400, 5], DType::F64)?
        + (along * 3.0)?.broadcast_mul(&direction.unsqueeze(0)?)?)?;
    let plan = layer(
        "hebbian/oja",
        MapPlan::Dense,
        3,
        &[("lr", ParamValue::Float(0.1))],
    );
    let mut driven = Driven::bind(&plan, &[5], DType::F64)?;
    for _ in 0..300 {
        driven.learn(&x, None)?;
    }
    assert!((driven.metric("weight_length")? - 1.0).abs() < 1e-3);
    for row in rows(&driven.get("weight")?)? {
        let cosine = dot(&row, &direction.to_vec1::<f64>()?);
        assert!(cosine.abs() > 0.99, "{row:?}");
    }
    Ok(())
}

#[test]
fn hebb_grows_without_bound_but_for_its_clamp() -> Result<()> {
    let x = noise(5, &[20, 6], DType::F64)?;
    let grown = |clamp: f64| -> Result<f64> {
        let params = [
            ("lr", ParamValue::Float(1.0)),
            ("clamp", ParamValue::Float(clamp)),
        ];
        let plan = layer("hebbian/hebb", MapPlan::Dense, 4, &params);
        let mut driven = Driven::bind(&plan, &[6], DType::F64)?;
        for _ in 0..40 {
            driven.learn(&x, None)?;
        }
        Ok(driven
            .get("weight")?
            .abs()?
            .flatten_all()?
            .max(0)?
            .to_scalar()?)
    };
    assert!(grown(0.0)? > 10.0);
    assert_eq!(grown(0.5)?, 0.5);
    Ok(())
}

fn bionas(params: &[(&str, ParamValue)]) -> LayerPlan {
    layer("hebbian/bionas", square(1), 6, params)
}

/// The reference updates in evaluation too: evaluating twice gives two answers, and what comes
/// after such a layer cannot be kept. The corrected mode does neither. A pass that only
/// measures, or that trains other blocks from cached features, changes nothing of the latter.
#[test]
fn evaluation_changes_the_faithful_network_and_leaves_the_corrected_one() -> Result<()> {
    let x = noise(6, &[2, 3, 6, 6], DType::F64)?;
    let moved = |a: &Tensor, b: &Tensor| -> Result<bool> {
        Ok((a - b)?.abs()?.sum_all()?.to_scalar::<f64>()? > 0.0)
    };
    let in_eval = ("update_in_eval", ParamValue::Bool(true));
    for (params, changes) in [
        (vec![("mode", text("faithful"))], true),
        (vec![("mode", text("corrected"))], false),
        (vec![("mode", text("corrected")), in_eval], true),
        (vec![("mode", text("plain"))], false),
    ] {
        let top = layer("backprop", MapPlan::Dense, 4, &[]);
        let blocks = [
            layer_block("map", bionas(&params)),
            BlockPlan {
                flatten: true,
                ..layer_block("top", top)
            },
        ];
        let mut driven = TestNetwork::build(&blocks, &[3, 6, 6], DType::F64)?;
        driven.train(&["top"], Drive::Gradient);
        driven.start();
        assert_eq!(
            driven.network.first_active(),
            usize::from(!changes),
            "{params:?}"
        );
        let start = driven.tensor("map.layer.weight")?;

        // Both blocks learn, so the pass is one of training; it only looks at gradients.
        driven.train(&["map", "top"], Drive::Gradient);
        driven.start();
        let mut measuring = Pass::measuring(driven.clock.clone());
        driven.network.forward_all(&mut measuring, &x)?;
        driven.train(&["top"], Drive::Gradient);
        driven.start();
        let mut measuring = Pass::measuring(driven.clock.clone());
        driven.network.forward_all(&mut measuring, &x)?;
        assert!(
            !moved(&start, &driven.tensor("map.layer.weight")?)?,
            "{params:?}"
        );

        let first = driven.evaluate(&x)?;
        let between = driven.tensor("map.layer.weight")?;
        assert_eq!(moved(&start, &between)?, changes, "{params:?}");
        let second = driven.evaluate(&x)?;
        assert_eq!(moved(&first, &second)?, changes, "{params:?}");
    }
    Ok(())
}

#[test]
fn non_negative_input_drives_the_faithful_weights_into_the_clamp() -> Result<()> {
    let params = [("hebbian_scale", ParamValue::Float(1e-3))];
    let mut driven = Driven::bind(&bionas(&params), &[3, 8, 8], DType::F64)?;
    for step in 0..60 {
        driven.learn(&noise(10 + step, &[16, 3, 8, 8], DType::F64)?.abs()?, None)?;
    }
    let share = driven.metric("clamped_share")?;
    assert!(share > 0.9, "{share}");
    Ok(())
}

#[test]
fn rows_of_length_one_stay_so_under_the_unit_decay() -> Result<()> {
    let params = [
        ("mode", text("corrected")),
        ("decay", text("unit")),
        ("hebbian_scale", ParamValue::Float(0.5)),
    ];
    let mut driven = Driven::bind(&bionas(&params), &[3, 6, 6], DType::F64)?;
    for step in 0..5 {
        driven.learn(&noise(20 + step, &[2, 3, 6, 6], DType::F64)?, None)?;
        for row in rows(&driven.get("weight")?)? {
            assert!((dot(&row, &row) - 1.0).abs() < 1e-12);
        }
    }
    Ok(())
}

#[test]
fn a_rate_of_nothing_changes_nothing() -> Result<()> {
    let x = noise(7, &[2, 3, 6, 6], DType::F64)?;
    for rule in ["hebbian/hebb", "hebbian/oja", "hebbian/bionas"] {
        let mut driven = Driven::bind(&layer(rule, square(1), 6, &[]), &[3, 6, 6], DType::F64)?;
        let before = driven.get("weight")?.copy()?;
        driven.call.rate = Some(0.0);
        driven.learn(&x, None)?;
        let moved: f64 = (driven.get("weight")? - before)?
            .abs()?
            .sum_all()?
            .to_scalar()?;
        assert_eq!(moved, 0.0, "{rule}");
    }
    Ok(())
}

#[test]
fn shapes_the_reference_lacks_belong_to_the_corrected_mode() {
    let refusal = |plan: &LayerPlan| match Driven::bind(plan, &[4, 6, 7], DType::F32) {
        Ok(_) => panic!("{plan:?} was accepted"),
        Err(error) => error.to_string(),
    };
    let text = refusal(&layer("hebbian/bionas", conv(), 6, &[]));
    assert!(text.contains("mode = \"corrected\""), "{text}");
    let bias = LayerPlan {
        bias: true,
        ..layer("hebbian/oja", conv(), 6, &[])
    };
    assert!(refusal(&bias).contains("bias = false"));
}

/// A configuration with a layer by `hebbian/bionas` in this mode, whose read-out learns for an
/// epoch.
fn bionas_config(dir: &std::path::Path, mode: &str) -> Result<()> {
    let text = format!(
        "name = \"t\"\ndevice = \"cpu\"\n\
         data = {{ set = \"digits\", limit_train = 60, limit_test = 40 }}\n\
         [[blocks]]\nname = \"hebbian\"\nlayer = \"conv\"\nkernel = 3\nout = 4\n\
         rule = {{ name = \"hebbian/bionas\", mode = \"{mode}\" }}\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"\n\
         [training.gradient]\nepochs = 2\nbatch = 20\n"
    );
    Ok(std::fs::write(dir.join("c.toml"), text)?)
}

/// A rule that trains on test images says so: in the run once, in `eval`, and in its description.
#[test]
fn learning_in_evaluation_is_told_where_it_happens_and_nowhere_else() -> Result<()> {
    let told = "learns in evaluation too";
    for (mode, warned) in [("faithful", 1), ("corrected", 0), ("plain", 0)] {
        let home = tempfile::tempdir()?;
        bionas_config(home.path(), mode)?;
        let train = ["train", "c.toml", "--run-dir", "r", "--quiet"];
        for arguments in [&train[..], &["eval", "r"][..]] {
            let ran = Run::new(arguments.iter().copied())
                .dir(home.path())
                .finish();
            assert_eq!(ran.code, Some(0), "{mode}: {}", ran.stderr);
            let seen = ran.stderr.matches(told).count();
            assert_eq!(seen, warned, "{mode} {arguments:?}: {}", ran.stderr);
            if warned > 0 {
                for words in ["`hebbian` (`hebbian/bionas`)", "hint: ", "rules describe"] {
                    assert!(ran.stderr.contains(words), "`{words}`: {}", ran.stderr);
                }
            }
        }
        let events = std::fs::read_to_string(home.path().join("r/events.jsonl"))?;
        let coded = events.matches("\"learns-in-evaluation\"").count();
        assert_eq!(coded, warned, "{mode}: {events}");
    }
    let page = Run::new(["rules", "describe", "hebbian/bionas"]).stdout();
    assert!(page.contains("evaluation"), "{page}");
    let other = Run::new(["rules", "describe", "hebbian/oja"]).stdout();
    assert!(!other.contains("evaluation"), "{other}");
    Ok(())
}
