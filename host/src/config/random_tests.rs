//! Configurations made at random: what is printed reads back as the same plan.

use proptest::prelude::*;

use super::*;

/// A number as a TOML float.
fn float(x: f64) -> String {
    format!("{x:?}")
}

fn conv_block() -> impl Strategy<Value = String> {
    let activation = prop_oneof![
        Just("relu".to_owned()),
        (0.1..3.0_f64).prop_map(|p| format!("triangle({p})")),
        (0.1..30.0_f64).prop_map(|g| format!("sigmoid({g})")),
    ];
    let rule = prop_oneof![
        Just("\"backprop\"".to_owned()),
        Just("\"feedback-alignment/usf\"".to_owned()),
        (1e-9..1.0_f64, any::<bool>()).prop_map(|(lr, on)| {
            format!(
                "{{ name = \"softhebb\", lr = {}, pre_triangle = {on}, competition = \"hard\" }}",
                float(lr)
            )
        }),
    ];
    let norm = prop_oneof![
        Just(String::new()),
        Just("norm = \"batch\"\n".to_owned()),
        (1e-8..1e-2_f64).prop_map(|e| format!("norm_inner = {{ eps = {} }}\n", float(e))),
    ];
    (
        1..6_usize,
        1..9_usize,
        activation,
        rule,
        norm,
        0.0..0.9_f64,
        any::<bool>(),
    )
        .prop_map(|(kernel, out, activation, rule, norm, dropout, bias)| {
            format!(
                "[[blocks]]\nlayer = \"conv\"\nkernel = {kernel}\npadding = \"same\"\nout = {out}\n\
                 activation = \"{activation}\"\nrule = {rule}\n{norm}dropout = {}\nbias = {bias}\n",
                float(dropout)
            )
        })
}

fn training() -> impl Strategy<Value = String> {
    let optimizer = prop_oneof![
        Just("\"adam\"".to_owned()),
        (1e-6..1.0_f64, 0.0..1.0_f64).prop_map(|(lr, m)| {
            format!(
                "{{ kind = \"sgd\", lr = {}, momentum = {} }}",
                float(lr),
                float(m)
            )
        }),
    ];
    let schedule = prop_oneof![
        Just("\"softhebb\"".to_owned()),
        (0.0..1.0_f64).prop_map(|f| format!("{{ kind = \"cosine\", floor = {} }}", float(f))),
        proptest::collection::vec(1..99_u64, 0..4)
            .prop_map(|e| format!("{{ kind = \"steps\", epochs = {e:?} }}")),
    ];
    let rate = prop_oneof![
        Just(String::new()),
        (0.0..1.0_f64).prop_map(|r| format!("local_rate = {}\n", float(r))),
        Just(
            "local_rate = { kind = \"exponential\", start = 0.1, end = 0, speed = 2.5 }\n"
                .to_owned()
        ),
    ];
    (
        optimizer,
        schedule,
        rate,
        1..100_u64,
        1..100_u64,
        any::<bool>(),
    )
        .prop_map(|(optimizer, schedule, rate, epochs, batch, cache)| {
            format!(
                "[training.local]\n{rate}stop = {{ threshold = 0.5 }}\nepochs = {epochs}\n\
                 [training.gradient]\noptimizer = {optimizer}\nschedule = {schedule}\n\
                 batch = {batch}\ncache = {cache}\n"
            )
        })
}

proptest! {
    #![proptest_config(crate::testing::cases(64))]
    #[test]
    fn what_is_shown_resolves_to_the_same(
        convs in proptest::collection::vec(conv_block(), 0..4),
        training in training(),
        seeds in proptest::collection::btree_set(0..1000_u64, 1..4),
        origins in any::<bool>(),
    ) {
        let seeds: Vec<u64> = seeds.into_iter().collect();
        let dense = "[[blocks]]\nname = \"classifier\"\nlayer = \"dense\"\nout = \"classes\"\nrule = \"backprop\"\n";
        let text = format!("seeds = {seeds:?}\n{}{dense}{training}", convs.concat());
        let first = Case::new(&text).resolve().unwrap();
        let again = Case::new(&first.to_toml(origins)).resolve().unwrap();
        prop_assert_eq!(&first.plan, &again.plan);
        prop_assert_eq!(first.hash(), again.hash());
        // The plan also survives its own serial form.
        let stored = toml::Value::try_from(&first.plan).unwrap();
        prop_assert_eq!(&first.plan, &stored.try_into::<RunPlan>().unwrap());
    }
}
