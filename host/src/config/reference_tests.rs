//! The reference page and the settings on it.

use super::*;

/// The page of settings in the repository is the printed one.
#[test]
fn the_reference_page_is_fresh() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == reference::markdown(),
        "stale: `biorule config reference > docs/configuration.md`"
    );
}

/// The settings of data sets listed for the page are those of the plan type.
#[test]
fn data_settings_are_those_of_the_plan() {
    let plan = serde_json::to_value(crate::data::DataPlan::default()).unwrap();
    compare_settings(&plan, settings::DATA_SET);
    compare_settings(&plan["augment"], settings::AUGMENT);
}

fn compare_settings(plan: &serde_json::Value, listed: &[settings::Setting]) {
    let plan = plan.as_object().unwrap();
    let keys: Vec<&str> = listed.iter().map(|s| s.key).collect();
    assert_eq!(plan.keys().map(String::as_str).collect::<Vec<_>>(), keys);
    for setting in listed.iter().filter(|s| !s.default.is_empty()) {
        let default: toml::Table = format!("v = {}", setting.default).parse().unwrap();
        let default = serde_json::to_value(&default["v"]).unwrap();
        assert_eq!(plan[setting.key], default, "`{}`", setting.key);
    }
}

/// Every default can be read, and lies in its range.
#[test]
fn defaults_are_values() {
    for section in settings::sections() {
        for setting in section.settings.iter().filter(|s| !s.default.is_empty()) {
            let value = typed(setting.default, "default");
            let number = super::value::number(&value);
            if let (Some((low, high)), Some(x)) = (setting.range, number) {
                assert!(x >= low && x <= high, "`{}`", setting.key);
            }
        }
    }
}
