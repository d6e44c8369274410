
/// The change that the script beside the vectors computes in NumPy.
#[test]
fn a_step_is_that_of_the_golden_vectors() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[("lr", 0.1.into())]).unwrap();
    trial.set("weight", &golden("weight")).unwrap();
    trial.set("code", &golden("code")).unwrap();
    let changes = trial.learn(&golden("x"), Some(&golden("target"))).unwrap();
    assert_close(&changes[0].value, &golden("change"));
}

/// Steps bring the output nearer to the code of the class.
#[test]
fn it_learns_what_it_is_told() {
    let mut trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[("lr", 0.5.into())]).unwrap();
    let (x, target) = (Array::noise(1, &[1, 3]), Array::one_hot(&[2], 3));
    for _ in 0..200 {
        trial.train_with(&x, &target).unwrap();
    }
    let (y, code) = (trial.forward(&x).unwrap().y, trial.get("code").unwrap());
    for unit in 0..2 {
        assert!((y.at(&[0, unit]) - code.at(&[unit, 2])).abs() < 1e-3);
    }
}

#[test]
fn without_labels_nothing_changes() {
    let trial = Trial::<{{type}}>::new(&Site::dense(3, 2), &[]).unwrap();
    assert!(trial.learn(&golden("x"), None).unwrap().is_empty());
}
