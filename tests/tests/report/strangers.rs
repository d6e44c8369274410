//! What comes from outside: texts of users, folders that are no runs, browsers.

use std::fs;

use biorule_test_environment::{Need, skip};
use biorule_tests::Result;
use biorule_tests::page::{Browser, elements, text};
use biorule_tests::plugins::call;

use crate::home::{done, home, page, says, train};

#[test]
fn texts_of_users_stay_texts() -> Result<()> {
    let home = tempfile::tempdir()?;
    let home = home.path();
    let mut table = "a,b,label\n".to_owned();
    for i in 0..80 {
        let (x, class) = if i % 2 == 0 {
            (1, "\"<b>&\"\"'\"")
        } else {
            (0, "</style><i>")
        };
        table.push_str(&format!("{x},{},{class}\n", f64::from(i) / 80.0));
    }
    fs::create_dir(home.join("d"))?;
    fs::write(home.join("d/all.csv"), table)?;
    let config = r#"name = "mine"
device = "cpu"
data = { set = "csv", root = "d/all.csv", options = { test = 0.3 } }
[experiment]
source = "<script>alert(1)</script> & Co"
note = "<img src=x onerror=1>"
published = { test_accuracy = 0.5 }
[[blocks]]
name = "readout"
layer = "dense"
out = "classes"
rule = "backprop"
[training.gradient]
epochs = 2
"#;
    fs::write(home.join("n.toml"), config)?;
    let root = home.join("d/all.csv").display().to_string();
    done(&train(
        home,
        "r",
        &["--set", &format!("data.root={root:?}")],
    ));
    let html = page(home, &["r"])?;
    assert!(
        !html.contains(home.to_str().unwrap()),
        "where things lie stays private"
    );
    let said = text(&html);
    says(
        &said,
        &[
            "<b>&\"'",
            "</style><i>",
            "<script>alert(1)</script> & Co",
            "<img src=x onerror=1>",
        ],
    );
    for drawn in fs::read_dir(home.join("r/pictures"))?.flatten() {
        if drawn.path().extension().is_some_and(|e| e == "svg") {
            let svg = fs::read_to_string(drawn.path())?;
            elements(&svg).unwrap_or_else(|e| panic!("{:?}: {e}", drawn.path()));
        }
    }
    Ok(())
}

#[test]
fn what_is_no_run_is_refused() -> Result<()> {
    let home = home()?;
    let home = home.path();
    fs::create_dir_all(home.join("empty/deep"))?;
    fs::create_dir_all(home.join("search"))?;
    fs::write(home.join("search/search.json"), "{}")?;
    fs::create_dir_all(home.join("torn"))?;
    fs::write(home.join("torn/run.json"), "{\"id\": ")?;
    for (arguments, code, words) in [
        (
            vec!["nothing"],
            2,
            vec!["`nothing` is not there", "runs list"],
        ),
        (vec!["empty"], 2, vec!["`empty` holds no run"]),
        (vec!["n.toml"], 2, vec!["`n.toml` is a file"]),
        (
            vec!["search"],
            2,
            vec!["`search` holds a search", "search/final"],
        ),
        (vec!["torn"], 7, vec!["torn/run.json", "is damaged"]),
        (
            vec!["torn", "-o", "no/page.html"],
            2,
            vec!["the folder `no` is not there"],
        ),
        (vec!["torn", "-o", "empty"], 2, vec!["`empty` is a folder"]),
        (vec!["torn", "--every", "0"], 2, vec!["--every"]),
        (vec![], 2, vec!["RUN"]),
    ] {
        let ran = call(home, &[vec!["report"], arguments.clone()].concat());
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "no `{word}` in {}", ran.stderr);
        }
    }
    Ok(())
}

/// On phones and laptops, light and dark, and on paper.
#[test]
fn a_browser_shows_pages_without_scrolling_sideways() -> Result<()> {
    let Some(browser) = Browser::find() else {
        skip(Need::Browser, "no Chromium");
        return Ok(());
    };
    let home = home()?;
    let home = home.path();
    done(&train(home, "a", &[]));
    let long = "name=\"a-name-so-long-that-no-telephone-has-room-for-it-on-one-line-or-on-two\"";
    done(&train(
        home,
        "b",
        &["--set", "blocks.middle.rule=\"backprop\"", "--set", long],
    ));
    for runs in [&["a"][..], &["a", "b"]] {
        page(home, runs)?;
        let file = home.join("page.html").canonicalize()?;
        for width in [320, 390, 768, 1280] {
            let content = browser.content_width(&file, width);
            assert!(content <= width, "{runs:?}: {content} in {width}");
        }
    }
    let file = home.join("page.html").canonicalize()?;
    let paper = |dark| {
        browser
            .picture(&file, (1280, 900), dark)
            .get_pixel(1270, 5)
            .0
    };
    assert_eq!((paper(false), paper(true)), ([255; 3], [0x11, 0x16, 0x1c]));
    let pdf = browser.print(&file);
    assert!(
        pdf.starts_with(b"%PDF") && pdf.len() > 20_000,
        "{} bytes",
        pdf.len()
    );
    Ok(())
}
