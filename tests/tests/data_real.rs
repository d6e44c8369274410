//! The real files of MNIST and CIFAR-10, in the folders that `BIORULE_DATA` names. Where it
//! names none, or none that has the set, these tests are skipped.

use biorule::data::{
    DataFolders, DataPlan, Dataset, Provenance, Split, Values, published, registry, verify,
};
use biorule_test_environment::{Need, skip};

/// The folders of `BIORULE_DATA`, if they have the set `name`; else the test is skipped.
fn folders(name: &str) -> Option<DataFolders> {
    let Some(named) = std::env::var_os("BIORULE_DATA") else {
        skip(Need::Data, "`BIORULE_DATA` is not set");
        return None;
    };
    let folders = DataFolders::only(std::env::split_paths(&named));
    if folders.locate(registry::find(name).unwrap()).is_none() {
        skip(Need::Data, &format!("no `{name}` in `BIORULE_DATA`"));
        return None;
    }
    Some(folders)
}

/// One part of a set.
fn part(name: &str, split: Split) -> Option<Dataset> {
    let folders = folders(name)?;
    Some(published::load(name, split, &folders, &toml::Table::new()).unwrap())
}

#[test]
fn mnist_is_what_the_authors_published() {
    let Some(test) = part("mnist", Split::Test) else {
        return;
    };
    assert_eq!((test.len(), test.shape().dims()), (10_000, [1, 28, 28]));
    // Class counts of the test set, and its first ten labels.
    assert_eq!(
        test.class_counts(),
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    );
    assert_eq!(test.labels()[..10], [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]);
    let train = part("mnist", Split::Train).unwrap();
    assert_eq!(train.labels()[..10], [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]);
    // 60,000 images, or the first of them.
    assert!(train.len() >= 10_000 && train.len() <= 60_000);
    let (mean, std) = train.channel_moments()[0];
    assert!(
        (mean - 0.1307).abs() < 2e-3 && (std - 0.3081).abs() < 2e-3,
        "{mean} {std}"
    );
    assert!(matches!(train.provenance(), Provenance::File { .. }));
}

#[test]
fn the_mnist_test_files_have_the_published_checksums() {
    let Some(folders) = folders("mnist") else {
        return;
    };
    let plan = DataPlan {
        set: "mnist".into(),
        ..DataPlan::default()
    };
    let found = verify::verify(&plan, &folders).unwrap();
    for (file, state) in &found.files {
        if file.name.starts_with("t10k") {
            assert_eq!(*state, verify::FileState::Good, "{}", file.name);
        }
    }
}

#[test]
fn cifar10_has_balanced_classes_and_the_known_means() {
    let Some(train) = part("cifar10", Split::Train) else {
        return;
    };
    assert_eq!((train.len(), train.shape().dims()), (50_000, [3, 32, 32]));
    assert_eq!(train.class_counts(), [5000; 10]);
    assert_eq!(
        part("cifar10", Split::Test).unwrap().class_counts(),
        [1000; 10]
    );
    let known = registry::find("cifar10").unwrap();
    for ((mean, std), (m, s)) in train
        .channel_moments()
        .iter()
        .zip(known.mean.iter().zip(known.std))
    {
        assert!(
            (mean - m).abs() < 1e-3 && (std - s).abs() < 2e-3,
            "{mean} {std}"
        );
    }
}

#[test]
fn a_standardised_pass_over_mnist_has_the_moments_of_its_pixels() {
    let Some(folders) = folders("mnist") else {
        return;
    };
    let plan: DataPlan = toml::from_str(
        "set = \"mnist\"\nnormalize = \"standard\"\nvalidation = 0.1\nresize = [32, 32]\nresize_method = \"pad\"",
    )
    .unwrap();
    let data = plan.open_in(&folders).unwrap();
    assert_eq!(data.shape().dims(), [1, 32, 32]);
    let held = data.validation.as_ref().unwrap();
    let all = data.train.len() + held.len();
    assert_eq!(held.len(), all / 10);
    let loader = data.train_loader(100, 1).unwrap();
    let (mut sum, mut count) = (0f64, 0usize);
    for batch in loader.epoch(0) {
        assert_eq!(batch.values.len(), batch.len() * 1024);
        sum += batch.values.iter().map(|&v| f64::from(v)).sum::<f64>();
        count += batch.values.len();
    }
    // The same mean the slow way, from the stored bytes.
    let Values::Bytes { data: bytes, .. } = data.train.dataset().values() else {
        panic!("bytes")
    };
    let pixels: f64 = data
        .train
        .indices()
        .iter()
        .flat_map(|&i| &bytes[i as usize * 1024..(i as usize + 1) * 1024])
        .map(|&b| (f64::from(b) / 255.0 - 0.1307) / 0.3081)
        .sum();
    assert_eq!(count, data.train.len() * 1024);
    assert!((sum - pixels).abs() / (count as f64) < 1e-6);
}
