//! How many attempts there are at once where the program may open few files.

use super::*;

#[test]
fn no_more_attempts_are_made_at_once_than_the_limit_of_descriptors_allows() {
    // long enough for others to begin meanwhile, if they may
    let works = "i=0; while [ $i -lt 50 ]; do i=$((i+1)); cat log > looked.$$; done; rm looked.$$";
    let body = format!("echo begins >> log; {works}; echo ends >> log; echo ok");
    let workspace = Workspace::with_script(30, "check", END, &body);
    let answer = in_shell(&workspace, "ulimit -n 64", &["--parallel", "30"]).expect_code(0);
    let told = answer.stderr.split_once("the limit of 64 open files allows ");
    let allowed: usize = told.unwrap().1.split(' ').next().unwrap().parse().unwrap();
    let log = fs::read_to_string(workspace.path().join("log")).unwrap();
    let (mut now, mut most, mut all) = (0, 0_usize, 0);
    for line in log.lines() {
        match line {
            "begins" => (now, all) = (now + 1, all + 1),
            _ => now -= 1,
        }
        most = most.max(now);
    }
    assert_eq!((now, all), (0, 30), "{log}");
    assert!((1..=allowed).contains(&most), "{most} at once, of {allowed}: {log}");
}
