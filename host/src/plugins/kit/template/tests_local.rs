
/// The change that the script beside the vectors computes in NumPy.
#[test]
fn a_step_is_that_of_the_golden_vectors() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[("lr", 0.1.into())]).unwrap();
    trial.set("weight", &golden("weight")).unwrap();
    let changes = trial.learn(&golden("x"), None).unwrap();
    assert_close(&changes[0].value, &golden("change"));
}

/// The rate of a schedule takes the place of the rule's own.
#[test]
fn a_scheduled_rate_counts() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[("lr", 9.0.into())]).unwrap();
    trial.set("weight", &golden("weight")).unwrap();
    trial.call.rate = Some(0.1);
    let changes = trial.learn(&golden("x"), None).unwrap();
    assert_close(&changes[0].value, &golden("change"));
}

#[test]
fn a_bias_is_refused_with_the_reason() {
    let refused = Trial::<{{type}}>::new(&Site::dense(3, 2).with_bias(), &[]).unwrap_err();
    assert!(refused.to_string().contains("bias"), "{refused}");
}
