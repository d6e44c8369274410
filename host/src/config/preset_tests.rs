//! Presets against their sources; those of SoftHebb against the values read from the authors'
//! files, where `BIORULE_SPECS` names the folder with them (`softhebb_presets.json`).

use biorule_test_environment::{Need, folder};
use serde_json::Value;

use super::super::presets;
use super::*;

fn source() -> Option<Value> {
    let path = folder(Need::Specs, "BIORULE_SPECS")?.join("softhebb_presets.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).unwrap())
}

fn preset(names: &[&str]) -> RunPlan {
    let sources = Sources {
        presets: names.iter().map(|n| format!("softhebb/{n}")).collect(),
        ..Sources::default()
    };
    resolve(&sources, &Offline).unwrap().plan
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_array().unwrap()
}

/// Every preset resolves.
#[test]
fn all_presets_resolve() {
    for preset in presets::list() {
        let network = "softhebb/2SoftHebbCnnCIFAR".to_owned();
        let data = preset.name.matches('/').count() == 2;
        let presets = if data {
            vec![network, preset.name]
        } else {
            vec![preset.name]
        };
        let sources = Sources {
            presets,
            ..Sources::default()
        };
        let table = merge(&sources).unwrap();
        if crate::config::is_search(&table) {
            let search = crate::config::search(table, &Offline).unwrap();
            assert!(
                search.pattern(&Offline).unwrap().is_some(),
                "{:?}",
                sources.presets
            );
            continue;
        }
        // Network and data of different shapes cannot be judged together.
        if let Err(e) = resolve(&sources, &Offline) {
            assert!(
                data && e.text.contains("samples of"),
                "{:?}: {e}",
                sources.presets
            );
        }
    }
}

#[test]
fn every_network_has_the_values_of_its_source() {
    let Some(source) = source() else { return };
    let models = list(&source, "models");
    assert_eq!(models.len(), 41);
    for model in models {
        let name = model["name"].as_str().unwrap();
        let plan = preset(&[name]);
        let blocks = list(model, "blocks");
        assert_eq!(plan.blocks.len(), blocks.len(), "{name}");
        for (i, (block, theirs)) in plan.blocks.iter().zip(blocks).enumerate() {
            let last = i + 1 == blocks.len();
            compare_block(&format!("{name} block {i}"), block, theirs, last);
        }
    }
}

fn compare_block(at: &str, block: &BlockPlan, theirs: &Value, last: bool) {
    let layer = block.layer.as_ref().unwrap();
    let number = |key: &str| theirs[key].as_f64();
    let whole = |key: &str| theirs[key].as_u64().map(|n| n as usize);
    let ops = list(theirs, "input_ops");
    assert_eq!(
        block.norm.is_some(),
        ops.contains(&"batchnorm2d".into()),
        "{at}"
    );
    if let Some(norm) = &block.norm {
        assert!(!norm.affine, "{at}");
        assert_eq!((norm.eps, norm.momentum), (1e-5, 0.1), "{at}");
    }
    if ops.contains(&"flatten".into()) {
        assert!(block.flatten, "{at}");
    }
    assert_eq!(layer.bias, theirs["bias"].as_bool().unwrap(), "{at}");
    assert_eq!(Some(block.dropout), number("dropout"), "{at}");
    // The last block's outputs are the classes of the data set, as the source says.
    assert!(
        last && layer.out == 0 || Some(layer.out) == whole("outputs"),
        "{at}"
    );
    match &layer.map {
        MapPlan::Dense => assert_eq!(theirs["kind"], "dense", "{at}"),
        MapPlan::Conv {
            kernel,
            stride,
            padding,
            dilation,
            groups,
            padding_mode,
        } => {
            assert_eq!(theirs["kind"], "conv", "{at}");
            assert_eq!(*kernel, [whole("kernel").unwrap(); 2], "{at}");
            assert_eq!(*stride, [whole("stride").unwrap(); 2], "{at}");
            assert_eq!(*padding, [whole("padding").unwrap(); 4], "{at}");
            assert_eq!(*dilation, [whole("dilation").unwrap(); 2], "{at}");
            assert_eq!(Some(*groups), whole("groups"), "{at}");
            // Where nothing is padded it would have no effect.
            if padding.iter().any(|side| *side > 0) {
                assert_eq!(theirs["padding_mode"], padding_mode.name(), "{at}");
            }
        }
    }
    compare_rule(at, layer, theirs);
    compare_shape(at, block, theirs);
}

fn compare_rule(at: &str, layer: &LayerPlan, theirs: &Value) {
    let param = |key: &str| match layer.params.get(key) {
        Some(ParamValue::Float(x)) => Some(*x),
        _ => None,
    };
    let word = |key: &str| match layer.params.get(key) {
        Some(ParamValue::Text(s)) => s.as_str(),
        _ => "",
    };
    let competition = match theirs["rule"].as_str().unwrap() {
        "backprop" => {
            assert!(layer.rule == "backprop" && layer.params.is_empty(), "{at}");
            return;
        }
        "hard_wta" => "hard",
        "soft_hebb" => "soft",
        "soft_hebb_anti" => "soft-krotov",
        "soft_hebb_clamped" => "supervised",
        other => panic!("{at}: {other}"),
    };
    assert_eq!(layer.rule, "softhebb", "{at}");
    assert_eq!(word("competition"), competition, "{at}");
    assert_eq!(param("lr"), theirs["hebb_lr"].as_f64(), "{at}");
    assert_eq!(param("radius"), theirs["init_radius"].as_f64(), "{at}");
    assert_eq!(theirs["lebesgue_p"], 2, "{at}"); // the rule's default
    match theirs["lr_policy"].as_str().unwrap() {
        "radius" => {
            assert_eq!(word("rate"), "adaptive", "{at}");
            assert_eq!(param("power_lr"), theirs["lr_power"].as_f64(), "{at}");
        }
        other => assert_eq!(word("rate"), other, "{at}"),
    }
    if competition != "hard" {
        assert_eq!(
            param("t_invert"),
            theirs["inverse_temperature"].as_f64(),
            "{at}"
        );
    }
    let before = theirs["triangle_before_competition"].as_bool() == Some(true);
    let ours = layer.params.get("pre_triangle") == Some(&ParamValue::Bool(true));
    assert_eq!(ours, before, "{at}");
}

fn compare_shape(at: &str, block: &BlockPlan, theirs: &Value) {
    let activation = &theirs["activation"];
    let expected = match activation["name"].as_str() {
        None => None,
        Some("relu") => Some(ActivationPlan::Relu),
        Some("triangle") => Some(ActivationPlan::Triangle {
            power: activation["power"].as_f64().unwrap(),
        }),
        Some("softmax") => Some(ActivationPlan::Softmax {
            gain: activation["parameter"].as_f64().unwrap(),
        }),
        Some(other) => panic!("{at}: {other}"),
    };
    assert_eq!(block.activation, expected, "{at}");
    let pool = &theirs["pool"];
    let expected = pool["kind"].as_str().map(|kind| PoolPlan {
        kind: if kind == "max" {
            PoolKind::Max
        } else {
            PoolKind::Avg
        },
        kernel: [pool["kernel"].as_u64().unwrap() as usize; 2],
        stride: [pool["stride"].as_u64().unwrap() as usize; 2],
        padding: [pool["padding"].as_u64().unwrap() as usize; 2],
        count_include_pad: true,
    });
    assert_eq!(block.pool, expected, "{at}");
}

#[test]
fn every_data_preset_has_the_values_of_its_source() {
    let Some(source) = source() else { return };
    let theirs = list(&source, "datasets");
    let ours = presets::list();
    let data = ours.iter().filter(|p| p.name.matches('/').count() == 2);
    // A read-out trained on a single class learns nothing, so one class is for local phases only.
    let one_class = |row: &&Value| row["class_filter"][0].is_i64();
    let without_read_out = theirs.iter().filter(one_class).count();
    assert_eq!(2 * theirs.len() - without_read_out, data.count());
    for row in theirs {
        let name = row["name"].as_str().unwrap();
        compare_data(&format!("softhebb/local/{name}"), row);
        let gradient = format!("softhebb/gradient/{name}");
        match one_class(&row) {
            true => assert!(presets::text(&gradient).is_err(), "{gradient}"),
            false => compare_data(&gradient, row),
        }
    }
}

/// A data preset, `softhebb/local/…` or `softhebb/gradient/…`, beside the row of its source.
fn compare_data(name: &str, row: &Value) {
    let table: toml::Table = toml::from_str(&presets::text(name).unwrap()).unwrap();
    let local = name.starts_with("softhebb/local/");
    // Local phases on a plain data set have none of their own.
    let (data, phase) = match local {
        true => (table.get("extra_data").map(|all| &all["local"]), "local"),
        false => (Some(&table["data"]), "gradient"),
    };
    let phase = &table["training"][phase];
    let data_says = |key: &str| data.and_then(|data| data.get(key));
    let phase_says = |key: &str| phase.get(key).and_then(toml::Value::as_integer);
    assert_eq!(phase_says("epochs"), row["epochs"].as_i64(), "{name}");
    assert_eq!(phase_says("batch"), row["batch_size"].as_i64(), "{name}");
    let every = row["log_every_epochs"].as_i64().filter(|_| !local);
    assert_eq!(phase_says("evaluate_every"), every, "{name}");
    let class = data_says("classes").map(|c| c[0].as_integer().unwrap());
    assert_eq!(class, row["class_filter"][0].as_i64(), "{name}");
    let whitened = data_says("whiten").is_some();
    assert_eq!(whitened, row["zca"].as_bool().unwrap(), "{name}");
    let augment = |key: &str| data_says("augment").and_then(|augment| augment.get(key));
    let noise = augment("noise").map(|n| n.as_float().unwrap());
    assert_eq!(noise, row["noise_std"].as_f64(), "{name}");
    let flipped = row["augmentation"].as_str().unwrap().ends_with("_flip");
    assert_eq!(augment("flip").is_some(), flipped, "{name}");
    let augmented = phase.get("augment").and_then(toml::Value::as_bool);
    let expected = (flipped || noise.is_some()).then_some(true);
    assert_eq!(augmented, expected, "{name}");
    if let Some(limit) = data_says("limit_train") {
        assert_eq!(limit.as_integer(), row["train_samples"].as_i64(), "{name}");
    }
    if let Some(size) = data_says("resize") {
        assert_eq!(size[0].as_integer(), row["height"].as_i64(), "{name}");
    }
}

#[test]
fn data_presets_set_epochs_and_batches_of_their_phases() {
    let plan = preset(&[
        "2SoftHebbCnnCIFAR",
        "local/CIFAR10_2",
        "gradient/CIFAR10_20",
    ]);
    let phases: Vec<_> = plan.phases.iter().map(|p| (p.epochs, p.batch)).collect();
    assert_eq!(phases, [(2, 10), (20, 10)]);
    assert_eq!(plan.phases[1].schedule, SchedulePlan::Softhebb);
}

#[test]
fn sizes_follow_the_reference() {
    let Some(source) = source() else { return };
    for case in list(&source, "derived_geometry") {
        let dataset = case["dataset"].as_str().unwrap();
        let family = dataset.split('_').next().unwrap();
        let row = list(&source, "datasets")
            .iter()
            .find(|d| d["name"] == dataset);
        let row = row.unwrap_or_else(|| panic!("no {family}"));
        let size = |key: &str| row[key].as_u64().unwrap() as usize;
        let data = DataShape {
            sample: vec![size("channels"), size("height"), size("width")],
            classes: size("classes"),
        };
        let name = case["model"].as_str().unwrap();
        let plan = preset(&[name]);
        let shapes = shapes::propagate(&plan.blocks, &data).unwrap();
        for (shape, theirs) in shapes.iter().zip(list(case, "blocks")) {
            let channels = theirs["out_channels"].as_u64().unwrap() as usize;
            let taught = name.ends_with("HebbClassifier");
            assert!(
                taught || shape.output[0] == channels,
                "{name} {dataset}: {shape:?}"
            );
            let input = theirs["in_channels_or_features"].as_u64().unwrap() as usize;
            assert_eq!(shape.layer_input[0], input, "{name} {dataset}: {shape:?}");
            if let Some(size) = theirs["output_height_width"].as_array() {
                let size: Vec<usize> = size.iter().map(|n| n.as_u64().unwrap() as usize).collect();
                assert_eq!(shape.output[1..], size, "{name} {dataset}");
            }
        }
    }
}

/// Trained numbers of a network on inputs of `dims`, which become its output's.
fn parameters(blocks: &[BlockPlan], classes: usize, dims: &mut Vec<usize>) -> usize {
    let mut count = 0;
    for block in blocks {
        if block.flatten {
            *dims = vec![dims.iter().product()];
        }
        if let Some(layer) = &block.layer {
            let out = if layer.out == 0 { classes } else { layer.out };
            let map = crate::nn::LayerMap::new(&layer.map, out, dims).unwrap();
            count += map.weight_dims().iter().product::<usize>();
            count += if layer.bias { out } else { 0 };
            *dims = map.output_dims();
        }
        if let Some(residual) = &block.residual {
            count += parameters(&residual.blocks, classes, dims);
        }
        // Sums of edges from the input.
        for node in block.graph.iter().flat_map(|graph| &graph.nodes) {
            let from = dims.clone();
            for edge in &node.from {
                dims.clone_from(&from);
                count += parameters(&edge.blocks, classes, dims);
            }
        }
        if block.norm_inner.as_ref().is_some_and(|n| n.affine) {
            count += 2 * dims[0];
        }
        if let Some(pool) = &block.pool {
            let window = |axis: usize| match pool.kernel[axis] {
                0 => 1,
                k => (dims[1 + axis] + 2 * pool.padding[axis] - k) / pool.stride[axis] + 1,
            };
            let (rows, columns) = (window(0), window(1));
            dims[1..].copy_from_slice(&[rows, columns]);
        }
    }
    count
}

/// LeNet-5 (LeCun et al. 1998, without its sparse table) and the ResNets of He et al. 2016 (on ImageNet
/// those of torchvision) are known by their sizes; BioTorch's own LeNet by its layers.
#[test]
fn biotorch_networks_have_the_size_of_their_source() {
    for (name, dims, size) in [
        ("lenet-mnist", [1, 32, 32], 61_706),
        ("lenet-fashion-mnist", [1, 32, 32], 61_706),
        ("lenet-cifar10", [3, 32, 32], 128_842),
        ("resnet20-cifar10", [3, 32, 32], 269_722),
        ("resnet56-cifar10", [3, 32, 32], 853_018),
        ("resnet18-imagenet", [3, 224, 224], 11_689_512),
        ("resnet50-imagenet", [3, 224, 224], 25_557_032),
    ] {
        let sources = Sources {
            presets: vec![format!("biotorch/{name}")],
            ..Sources::default()
        };
        let plan = resolve(&sources, &Offline).unwrap().plan;
        let mut dims = dims.to_vec();
        let classes = if name.ends_with("imagenet") { 1000 } else { 10 };
        assert_eq!(parameters(&plan.blocks, classes, &mut dims), size, "{name}");
        assert_eq!(dims, [classes], "{name}");
    }
}
