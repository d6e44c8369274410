//! Folders of pictures in the layout of published sets.

use image::{ImageFormat, Rgb, RgbImage};

use super::*;
use crate::data::DataFolders;
use crate::data::image_set::IMAGENETTE;
use crate::plan::Augment;

/// A picture of one colour with a green edge on the left.
fn write(path: &Path, (width, height): (u32, u32), red: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(width, height, |x, _| match x {
        0 => Rgb([0, 255, 0]),
        _ => Rgb([red, 0, 0]),
    });
    image.save_with_format(path, ImageFormat::Png).unwrap();
}

fn nette(root: &Path) {
    for (part, count) in [("train", 2), ("val", 1)] {
        for (at, class) in ["n01440764", "n03888257"].into_iter().enumerate() {
            for n in 0..count {
                let path = root.join("imagenette2-160").join(part).join(class);
                let size = (12 + 4 * n as u32, 16);
                write(&path.join(format!("{n}.PNG")), size, 100 * at as u8 + 50);
            }
        }
    }
}

fn plan(root: &Path, more: &str) -> DataPlan {
    let text = format!(
        "set = \"imagenette\"\nroot = {:?}\nresize = [8, 8]\n{more}",
        root.display().to_string()
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn folders_become_classes_and_pictures_of_any_size_samples_of_one() {
    let dir = tempfile::tempdir().unwrap();
    nette(dir.path());
    let folders = DataFolders::only([dir.path()]);
    let plan = plan(dir.path(), "");
    let train = plan.part(Split::Train, &folders).unwrap();
    assert_eq!((train.len(), train.shape()), (4, Shape::new(3, 8, 8)));
    assert_eq!(train.labels(), [0, 0, 1, 1]);
    assert_eq!(train.class_name(1), "parachute");
    assert!(
        train.notes()[0].contains("published are 9469"),
        "{:?}",
        train.notes()
    );
    let Values::Bytes { data, .. } = train.values() else {
        panic!("one size, decoded")
    };
    // Red of the last column, of both classes.
    assert_eq!((data[7], data[2 * 192 + 7]), (50, 150));
    let test = plan.part(Split::Test, &folders).unwrap();
    assert_eq!(test.labels(), [0, 1]);
    let survey = plan.survey_in(&folders).unwrap();
    assert_eq!((survey.shape, survey.outputs), (Shape::new(3, 8, 8), 2));
}

#[test]
fn pieces_are_cut_from_the_pictures_and_evaluation_sees_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    nette(dir.path());
    let folders = DataFolders::only([dir.path()]);
    let whole = plan(dir.path(), "").part(Split::Train, &folders).unwrap();
    let pieces = plan(dir.path(), "[augment]\nresized_crop = [0.08, 0.5]\n");
    for decoded in ["", "[options]\ndecoded = 0\n"] {
        let mut plan = pieces.clone();
        if !decoded.is_empty() {
            plan.options
                .insert("decoded".into(), toml::Value::Integer(0));
        }
        let set = plan.part(Split::Train, &folders).unwrap();
        assert!(matches!(set.values(), Values::Made { .. }));
        // Without augmentation the samples are those of whole pictures, wherever they come from.
        for i in 0..4 {
            let [a, b] =
                [&whole, &set].map(|s| s.values().bytes_of(i, 192).unwrap().unwrap().into_owned());
            assert_eq!(a, b);
        }
        let data = plan.open_in(&folders).unwrap();
        let loader = data.train_loader(4, 3).unwrap();
        let batches = [0, 1, 0].map(|epoch| loader.epoch(epoch).next().unwrap());
        assert!(batches.iter().all(|b| b.failed.is_none()));
        assert_eq!(batches[0].values, batches[2].values);
        assert_ne!(batches[0].values, batches[1].values);
        // Test samples are whole, and none is lost.
        let test = data.test.dataset();
        assert_eq!((test.len(), data.train.len()), (2, 4));
        assert!(plan.record("data").unwrap().unwrap().files.len() == 2);
    }
    assert!(
        !Augment {
            resized_crop: Some([0.1, 1.0]),
            ..Augment::default()
        }
        .is_none()
    );
}

#[test]
fn a_file_that_is_gone_ends_the_epoch_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    nette(dir.path());
    let folders = DataFolders::only([dir.path()]);
    let mut plan = plan(dir.path(), "");
    plan.options
        .insert("decoded".into(), toml::Value::Integer(0));
    let data = plan.open_in(&folders).unwrap();
    let gone = dir.path().join("imagenette2-160/train/n01440764/1.PNG");
    fs::remove_file(&gone).unwrap();
    let failed: Vec<String> = data
        .train_loader(1, 0)
        .unwrap()
        .epoch(0)
        .filter_map(|b| b.failed)
        .collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].contains("1.PNG"), "{failed:?}");
}

#[test]
fn classes_of_imagenet_v2_stand_in_the_order_of_their_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("imagenetv2-matched-frequency-format-val");
    for class in ["0", "1", "2", "10"] {
        write(
            &root.join(class).join("a.png"),
            (4, 4),
            class.parse().unwrap(),
        );
    }
    let plan = DataPlan {
        set: "imagenet-v2-matched-frequency".into(),
        resize: Some([4, 4]),
        ..DataPlan::default()
    };
    let set = plan
        .part(Split::Test, &DataFolders::only([dir.path()]))
        .unwrap();
    let reds: Vec<u8> = (0..4)
        .map(|i| set.values().bytes_of(i, 48).unwrap().unwrap()[3])
        .collect();
    assert_eq!((reds, set.labels()), (vec![0, 1, 2, 10], &[0, 1, 2, 3][..]));
}

#[test]
fn a_packed_set_is_told_and_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    nette(dir.path());
    let root = tempfile::tempdir().unwrap();
    let out = fs::File::create(root.path().join("imagenette2-160.tgz")).unwrap();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        out,
        flate2::Compression::fast(),
    ));
    tar.append_dir_all("imagenette2-160", dir.path().join("imagenette2-160"))
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    let folders = DataFolders::only([root.path()]);
    let e = plan(root.path(), "")
        .part(Split::Train, &folders)
        .unwrap_err();
    assert!(e.text.contains("not unpacked"), "{e}");
    assert!(unpack(&IMAGENETTE, root.path()).unwrap());
    assert!(!unpack(&IMAGENETTE, root.path()).unwrap());
    assert_eq!(
        plan(root.path(), "")
            .part(Split::Train, &folders)
            .unwrap()
            .len(),
        4
    );
}
