//! `biorule predict`: the answers are those of `eval`, whatever kind of file the samples come in.

use std::path::{Path, PathBuf};

use biorule_tests::Result;
use biorule_tests::plugins::{Ran, Run};
use serde_json::Value;

/// Writes `shape` of `data` as a numpy array.
fn npy(path: &Path, kind: &str, shape: &[usize], data: &[u8]) {
    let shape: Vec<String> = shape.iter().map(|n| format!("{n},")).collect();
    let header = format!(
        "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}",
        shape.join(" ")
    );
    let padded = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((padded.len() as u16).to_le_bytes());
    bytes.extend(padded.bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).expect("written");
}

/// Pixel `(c, y, x)` of picture `i` of class `class`: stripes that tell the classes apart.
fn pixel(class: usize, i: usize, c: usize, y: usize, x: usize) -> u8 {
    let along = if class == 0 { x } else { y };
    let noise = (i * 37 + c * 11 + y * 5 + x * 3) % 60;
    (((along / 2) % 2) * 150 + noise) as u8
}

const SIDE: usize = 12;

fn picture(path: &Path, class: usize, i: usize, side: usize) {
    let image = image::RgbImage::from_fn(side as u32, side as u32, |x, y| {
        let at = |c| pixel(class, i, c, y as usize, x as usize);
        image::Rgb([at(0), at(1), at(2)])
    });
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    image.save(path).expect("saved");
}

/// A folder with pictures of two classes, and a network that is trained on them.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new(data: &str, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path();
        for (part, count) in [("train", 40), ("test", 12)] {
            for (class, name) in ["along", "across"].into_iter().enumerate() {
                for i in 0..count {
                    let shift = if part == "test" { 1000 } else { 0 };
                    let path = dir.join(format!("pictures/{part}/{name}/{i:03}.png"));
                    picture(&path, class, i + shift, SIDE);
                }
            }
        }
        let text = format!(
            "name = \"net\"\ndevice = \"cpu\"\nrule = \"backprop\"\n\
             [data]\nset = \"folder\"\nroot = \"pictures\"\n{data}\n\
             [[blocks]]\nlayer = \"conv\"\nout = 4\nkernel = 3\nactivation = \"relu\"\npool = \"max 2/2/0\"\n\
             [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
             [training.gradient]\nepochs = 1\nbatch = 8\noptimizer = {{ kind = \"adam\", lr = 0.001 }}\n{more}"
        );
        std::fs::write(dir.join("net.toml"), text)?;
        let home = Self { folder };
        let ran = home.run(&["train", "net.toml", "--run-dir", "run", "-q"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        Ok(home)
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, words: &[&str]) -> Ran {
        Run::new(words.iter().copied())
            .dir(self.dir())
            .env("HOME", self.dir())
            .finish()
    }

    fn json(&self, files: &[&str], more: &[&str]) -> Vec<Value> {
        let words = [&["predict", "run"], files, &["--format", "json"], more].concat();
        let ran = self.run(&words);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let value: Value = serde_json::from_str(&ran.stdout).expect(&ran.stdout);
        value.as_array().expect("a list").clone()
    }

    /// How often samples of a class were taken for each, by `eval`.
    fn confusion(&self) -> Value {
        let ran = self.run(&["eval", "run", "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str::<Value>(&ran.stdout).expect("JSON")["confusion"].clone()
    }
}

/// How often the pictures of each class folder were taken for each class.
fn counted(answers: &[Value]) -> Value {
    let mut counts = [[0u64; 2]; 2];
    for answer in answers {
        let file = answer["file"].as_str().expect("a file");
        let class = usize::from(file.contains("along"));
        let taken = answer["classes"][0]["number"].as_u64().expect("a class") as usize;
        counts[class][taken] += 1;
    }
    serde_json::json!(counts)
}

fn probabilities(answers: &[Value]) -> Vec<f64> {
    let of = |a: &Value| {
        let all = a["classes"].as_array().expect("classes").iter();
        let first = all.clone().find(|c| c["number"] == 0).expect("class 0");
        first["probability"].as_f64().expect("a probability")
    };
    answers.iter().map(of).collect()
}

#[test]
fn answers_are_those_of_eval_however_samples_are_prepared() -> Result<()> {
    for data in [
        "",
        "normalize = \"standard\"",
        "resize = [10, 10]",
        "whiten = 0.1",
        "resize = [9, 9]\nnormalize = \"none\"\noptions.channels = 1",
    ] {
        let home = Home::new(data, "")?;
        let answers = home.json(&["pictures/test"], &["--top", "2"]);
        assert_eq!(answers.len(), 24, "{data}");
        assert_eq!(counted(&answers), home.confusion(), "{data}");
        // Names of classes, probabilities that sum to 1, the likeliest first.
        let first = &answers[0]["classes"];
        assert!(["along", "across"].contains(&first[0]["class"].as_str().expect("a name")));
        let p = |at: usize| first[at]["probability"].as_f64().expect("a number");
        assert!((p(0) + p(1) - 1.0).abs() < 1e-9 && p(0) >= p(1));
    }
    Ok(())
}

#[test]
fn arrays_and_pictures_of_the_same_pixels_have_the_same_answers() -> Result<()> {
    let home = Home::new("normalize = \"standard\"", "")?;
    let dir = home.dir();
    let names: Vec<String> = (0..12)
        .map(|i| format!("pictures/test/along/{i:03}.png"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pictures = probabilities(&home.json(&names, &["--top", "2"]));
    let at = |order: &dyn Fn(usize) -> [usize; 4]| -> Vec<u8> {
        (0..12 * 3 * SIDE * SIDE)
            .map(|n| {
                let [i, c, y, x] = order(n);
                pixel(0, i + 1000, c, y, x)
            })
            .collect()
    };
    let plane = SIDE * SIDE;
    let first = at(&|n| [n / (3 * plane), n / plane % 3, n / SIDE % SIDE, n % SIDE]);
    let last = at(&|n| [n / (3 * plane), n % 3, n / (3 * SIDE) % SIDE, n / 3 % SIDE]);
    npy(&dir.join("first.npy"), "|u1", &[12, 3, SIDE, SIDE], &first);
    npy(&dir.join("last.npy"), "|u1", &[12, SIDE, SIDE, 3], &last);
    npy(
        &dir.join("one.npy"),
        "|u1",
        &[3, SIDE, SIDE],
        &first[..3 * plane],
    );
    let floats: Vec<u8> = first
        .iter()
        .flat_map(|b| (f32::from(*b) / 255.0).to_le_bytes())
        .collect();
    npy(
        &dir.join("floats.npy"),
        "<f4",
        &[12, 3, SIDE, SIDE],
        &floats,
    );
    for file in ["first.npy", "last.npy", "floats.npy"] {
        let answers = home.json(&[file], &["--top", "2"]);
        assert_eq!(probabilities(&answers), pictures, "{file}");
        assert_eq!(answers[3]["sample"], 3);
    }
    let one = home.json(&["one.npy"], &["--top", "2"]);
    assert_eq!(one[0]["sample"], Value::Null);
    assert!((probabilities(&one)[0] - pictures[0]).abs() < 1e-6);
    // As a table with commas, and names on standard input.
    let csv = home.run(&[
        "predict",
        "run",
        "first.npy",
        "--format",
        "csv",
        "--top",
        "2",
    ]);
    let lines: Vec<&str> = csv.stdout.lines().collect();
    assert_eq!(lines[0], "file,sample,rank,class,probability");
    assert_eq!(lines.len(), 25, "{}", csv.stdout);
    let mut child = Run::new(["predict", "run", "-", "--format", "csv"])
        .dir(dir)
        .command()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(
        &mut child.stdin.take().expect("a pipe"),
        b"one.npy\nfirst.npy\n",
    )?;
    let output = child.wait_with_output()?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 14);
    Ok(())
}

#[test]
fn what_the_network_does_not_take_is_refused_by_name() -> Result<()> {
    let home = Home::new("", "")?;
    let dir = home.dir();
    let whole = std::fs::read(dir.join("pictures/test/along/000.png"))?;
    std::fs::create_dir(dir.join("some"))?;
    std::fs::write(dir.join("some/a.png"), &whole)?;
    std::fs::write(dir.join("some/b.png"), &whole[..whole.len() / 2])?;
    picture(&dir.join("large.png"), 0, 1, 20);
    image::GrayImage::from_pixel(12, 12, image::Luma([9])).save(dir.join("grey.png"))?;
    std::fs::write(dir.join("notes.txt"), "no picture")?;
    npy(&dir.join("wrong.npy"), "|u1", &[2, 5, 5], &[0; 50]);
    let large: Vec<u8> = (0..432).flat_map(|_| 300f32.to_le_bytes()).collect();
    npy(&dir.join("scale.npy"), "<f4", &[1, 3, 12, 12], &large);
    for (file, code, told) in [
        ("some", 3, "`some/b.png` is cut"),
        (
            "large.png",
            2,
            "`large.png` has 20x20 pixels; the network takes images of 3x12x12",
        ),
        ("grey.png", 2, "`grey.png` is grey"),
        ("notes.txt", 3, "`notes.txt` is a text file, not a picture"),
        ("wrong.npy", 2, "has the shape [2, 5, 5]"),
        ("scale.npy", 2, "holds 300"),
        ("nowhere.png", 2, "`nowhere.png` is not there"),
    ] {
        let ran = home.run(&["predict", "run", file]);
        assert_eq!(ran.code, Some(code), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains(told), "{file}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: "), "{file}: {}", ran.stderr);
    }
    let files = ["some", "large.png", "grey.png"];
    let answers = home.json(&files, &["--on-error", "skip"]);
    let told = |at: usize, key: &str| answers[at].get(key).is_some();
    assert!(told(0, "classes") && told(1, "error") && told(2, "error") && told(3, "error"));
    let answers = home.json(&files[1..], &["--convert"]);
    assert!(answers.iter().all(|a| a.get("classes").is_some()));
    let none = home.run(&["predict", "run", "notes.txt", "--on-error", "skip"]);
    assert_eq!(none.code, Some(3), "{}", none.stderr);
    assert!(
        none.stderr.contains("none of 1 files could be used"),
        "{}",
        none.stderr
    );
    Ok(())
}

/// Values of the configuration `text` trained in a folder of its own.
fn trained(text: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("net.toml"), text)?;
    let ran = Run::new(["train", "net.toml", "--run-dir", "run", "-q"])
        .dir(folder.path())
        .finish();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    Ok(folder)
}

fn predict(dir: &Path, file: &str) -> Vec<Value> {
    let ran = Run::new(["predict", "run", file, "--format", "json"]).dir(dir);
    let text = ran.stdout();
    let value: Value = serde_json::from_str(&text).expect(&text);
    value.as_array().expect("a list").clone()
}

#[test]
fn a_regression_gives_values_and_labelled_neurons_give_classes() -> Result<()> {
    let regression = trained(
        "name = \"r\"\ndevice = \"cpu\"\nrule = \"backprop\"\n[data]\nset = \"sine\"\n\
         [[blocks]]\nname = \"readout\"\nlayer = \"dense\"\nout = \"classes\"\n\
         [training.gradient]\nepochs = 1\nloss = \"mse\"\n",
    )?;
    let value = 0.5f32.to_le_bytes();
    npy(
        &regression.path().join("x.npy"),
        "<f4",
        &[2, 1],
        &[value, value].concat(),
    );
    let answers = predict(regression.path(), "x.npy");
    assert_eq!(answers.len(), 2);
    assert_eq!(
        answers[0]["values"].as_array().map(Vec::len),
        Some(1),
        "{answers:?}"
    );
    let neurons = trained(
        "name = \"n\"\ndevice = \"cpu\"\n[data]\nset = \"digits\"\n\
         [[blocks]]\nname = \"hidden\"\nlayer = \"dense\"\nout = 40\nrule = { name = \"softhebb\", lr = 0.05 }\n\
         [training.local]\nepochs = 1\nbatch = 10\nneuron_labels = true\n",
    )?;
    let sample: Vec<u8> = (0..64).map(|i| (i % 17) as u8).collect();
    npy(&neurons.path().join("x.npy"), "|u1", &[1, 1, 8, 8], &sample);
    let answers = predict(neurons.path(), "x.npy");
    assert!(
        answers[0]["classes"][0]["activity"].is_number(),
        "{answers:?}"
    );
    Ok(())
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let file: PathBuf = "x.png".into();
    let ran = Run::new(["predict".into(), "nowhere".into(), file]).finish();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`biorule runs list`"), "{}", ran.stderr);
}
