//! Where the program of a script is looked for.

use super::sandbox::*;

#[test]
fn a_command_with_a_slash_is_relative_to_the_definition() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("actors")).unwrap();
    let path = sandbox.write("actors/validate.sh", "#!/bin/sh\n", 0o755);
    let resolve = |command: &str| {
        resolve_program(command, sandbox.folder.path(), &BTreeMap::new())
            .map_err(|error| (error.failure_type(), error.to_string()))
    };
    assert_eq!(resolve("actors/validate.sh"), Ok(path));
    assert_eq!(resolve("/bin/sh"), Ok(PathBuf::from("/bin/sh")));
    let (failure_type, error) = resolve("actors/absent.sh").unwrap_err();
    assert_eq!(failure_type, FailureType::NotFound);
    assert_contains(&error, sandbox.path("actors/absent.sh").to_str().unwrap());
}

#[test]
fn a_bare_command_is_looked_up_in_the_path_of_the_actor() {
    let sandbox = Sandbox::new();
    let program = sandbox.write("tool", "#!/bin/sh\n", 0o755);
    sandbox.write("notes", "text", 0o644);
    let environment =
        |path: &Path| BTreeMap::from([("PATH".to_owned(), format!("/nowhere:{}", path.display()))]);
    let here = environment(sandbox.folder.path());
    let elsewhere = Path::new("/");
    assert_eq!(resolve_program("tool", elsewhere, &here).unwrap(), program);
    for (command, environment) in
        [("notes", here), ("tool", environment(elsewhere)), ("sh", BTreeMap::new())]
    {
        let error = resolve_program(command, sandbox.folder.path(), &environment).unwrap_err();
        assert_eq!(error.failure_type(), FailureType::NotFound);
        assert_contains(&error.to_string(), command);
    }
}
