//! HTML pages: whether they are whole, and what a browser makes of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Elements without an end.
const VOID: [&str; 5] = ["meta", "br", "img", "link", "hr"];

/// An element's start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// Its attributes as written, in order.
    pub attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The elements of `html`, each of which is closed in the order in which it was opened; text has no
/// `<` that begins none, attributes are quoted, and `&` begins a reference.
///
/// # Errors
/// What is wrong, with what stands there.
pub fn elements(html: &str) -> Result<Vec<Element>, String> {
    let (mut all, mut open) = (Vec::<Element>::new(), Vec::<String>::new());
    let mut rest = html.strip_prefix("<!DOCTYPE html>").unwrap_or(html);
    while let Some(at) = rest.find('<') {
        references(&rest[..at])?;
        rest = &rest[at + 1..];
        let end = end_of_tag(rest)?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            match open.pop() {
                Some(last) if last == name => continue,
                other => return Err(format!("`</{name}>` closes {other:?}")),
            }
        }
        let element = element(tag)?;
        let name = element.name.clone();
        all.push(element);
        if VOID.contains(&name.as_str()) {
            continue;
        }
        if name == "style" {
            let end = rest.find("</style>").ok_or("a style without an end")?;
            rest = &rest[end..];
        }
        open.push(name);
    }
    references(rest)?;
    match open.is_empty() {
        true => Ok(all),
        false => Err(format!("never closed: {open:?}")),
    }
}

/// The place of the `>` that ends a tag.
fn end_of_tag(text: &str) -> Result<usize, String> {
    let mut quoted = false;
    for (i, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return Ok(i),
            '<' => return Err(format!("`<` within `<{}`", &text[..i])),
            _ => {}
        }
    }
    Err(format!(
        "a tag without an end: {}",
        text.chars().take(40).collect::<String>()
    ))
}

fn element(tag: &str) -> Result<Element, String> {
    let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
    let plain = |c: char| c.is_ascii_alphanumeric();
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`<{tag}>` is no element"));
    }
    let mut attributes = Vec::new();
    while !rest.trim().is_empty() {
        let trimmed = rest.trim_start();
        let stop = trimmed.find(['=', ' ']).unwrap_or(trimmed.len());
        let key = &trimmed[..stop];
        rest = &trimmed[stop..];
        let mut value = "";
        if let Some(quoted) = rest.strip_prefix('=') {
            let inner = quoted
                .strip_prefix('"')
                .ok_or_else(|| format!("`{key}` of `<{tag}>` is not quoted"))?;
            let end = inner
                .find('"')
                .ok_or_else(|| format!("`{key}` of `<{tag}>` has no end"))?;
            value = &inner[..end];
            rest = &inner[end + 1..];
        }
        references(value)?;
        attributes.push((key.to_owned(), value.to_owned()));
    }
    Ok(Element {
        name: name.to_owned(),
        attributes,
    })
}

fn references(text: &str) -> Result<(), String> {
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        if !known.iter().any(|k| text[at..].starts_with(k)) {
            return Err(format!(
                "`&` alone in `{}`",
                text[at..].chars().take(30).collect::<String>()
            ));
        }
    }
    Ok(())
}

/// Text of the page without tags, styles and references, blanks of all kinds as one space.
#[must_use]
pub fn text(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if !(rest.starts_with("<code>") || rest.starts_with("</code>")) {
            out.push(' ');
        }
        let end = match rest.starts_with("<style") {
            true => rest.find("</style>").unwrap_or(rest.len() - 1),
            false => 0,
        };
        rest = &rest[end..];
        let close = rest.find('>').map_or(rest.len(), |i| i + 1);
        rest = &rest[close..];
    }
    out.push_str(rest);
    let plain = out
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Headless Chromium.
#[derive(Debug)]
pub struct Browser {
    program: PathBuf,
    profile: tempfile::TempDir,
}

impl Browser {
    /// The one that `BIORULE_BROWSER` names, or `chromium`; `None` where it does not start.
    ///
    /// # Panics
    /// The disk refuses.
    #[must_use]
    pub fn find() -> Option<Self> {
        let program =
            std::env::var_os("BIORULE_BROWSER").map_or_else(|| "chromium".into(), PathBuf::from);
        let asked = Command::new(&program)
            .arg("--version")
            .stderr(Stdio::null())
            .output();
        let starts = asked.is_ok_and(|output| output.status.success());
        let profile = tempfile::tempdir().expect("a folder");
        starts.then_some(Self { program, profile })
    }

    fn call(&self, flags: &[String]) -> String {
        let output = Command::new(&self.program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--no-first-run",
            ])
            .arg(format!("--user-data-dir={}", self.profile.path().display()))
            .args(flags)
            .output()
            .expect("the browser starts");
        assert!(
            output.status.success(),
            "{flags:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How wide the content of `page` is, in a window of `width`: more where it has to be scrolled
    /// sideways. The page has no script, so one around it looks.
    ///
    /// # Panics
    /// The browser does not say.
    #[must_use]
    pub fn content_width(&self, page: &Path, width: u32) -> u32 {
        let around = page.with_extension(format!("around-{width}.html"));
        let name = page.file_name().expect("a file").to_string_lossy();
        let html = format!(
            "<!DOCTYPE html><body><iframe src=\"{name}\" width={width} height=900 style=\"border:0\" \
             onload=\"const d = this.contentDocument.documentElement; \
             document.body.dataset.seen = 'seen ' + d.scrollWidth + ' of ' + d.clientWidth + '.'\"></iframe></body>"
        );
        std::fs::write(&around, html).expect("written");
        let dom = self.call(&[
            "--allow-file-access-from-files".into(),
            "--virtual-time-budget=10000".into(),
            "--window-size=1600,1000".into(),
            "--dump-dom".into(),
            format!("file://{}", around.display()),
        ]);
        let (_, rest) = dom
            .split_once("seen ")
            .unwrap_or_else(|| panic!("nothing seen in {dom}"));
        let (seen, rest) = rest.split_once(" of ").expect("two widths");
        let client = rest.split('.').next().expect("a width");
        assert_eq!(client, width.to_string(), "the window's width");
        seen.parse().expect("a number")
    }

    /// A picture of `page` in a window of this size, as [height, width] and its RGB bytes.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn picture(&self, page: &Path, (width, height): (u32, u32), dark: bool) -> image::RgbImage {
        let file = page.with_extension(format!("{width}-{dark}.png"));
        let scheme = u8::from(!dark);
        let _ = self.call(&[
            format!("--window-size={width},{height}"),
            format!("--blink-settings=preferredColorScheme={scheme}"),
            format!("--screenshot={}", file.display()),
            format!("file://{}", page.display()),
        ]);
        image::open(&file).expect("a picture").to_rgb8()
    }

    /// The page printed: the PDF file's bytes.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn print(&self, page: &Path) -> Vec<u8> {
        let file = page.with_extension("pdf");
        let _ = self.call(&[
            "--no-pdf-header-footer".into(),
            format!("--print-to-pdf={}", file.display()),
            format!("file://{}", page.display()),
        ]);
        std::fs::read(&file).expect("a PDF")
    }
}
