//! Configurations: who may write them, what is wrong with them, and their scripts.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Output;

use crate::kit::{
    DAY, Sandbox, assert_code, logquota, needs_root, picture_after, picture_before, text,
};

fn run(sandbox: &Sandbox, config: &Path) -> Output {
    logquota([
        "run".as_ref(),
        "--state".as_ref(),
        sandbox.path("status").as_os_str(),
        config.as_os_str(),
    ])
}

#[test]
fn h16_names_reach_scripts_as_arguments_and_never_as_text() {
    let sandbox = Sandbox::new();
    let names = ["$(touch X).log", ";touch Y;.log", "-rf.log", "a b'c\"d.log", "`touch Z`.log"];
    for name in names {
        sandbox.log(name, 8, DAY);
    }
    let heard = sandbox.path("heard");
    let config = sandbox.config(&format!(
        "LOGS/*.log {{\n size 4k\n rotate 3\n postrotate\n  printf '%s\\n%s\\n' \"$1\" \"$2\" >> {}\n \
         endscript\n prerotate\n  test -f \"$1\"\n endscript\n}}\n",
        heard.display()
    ));
    let output = run(&sandbox, &config);
    assert_code(&output, 0);
    let mut heard: Vec<_> =
        fs::read_to_string(heard).expect("written").lines().map(str::to_owned).collect();
    heard.sort();
    let logs = sandbox.logs();
    let mut expected: Vec<_> = names
        .iter()
        .flat_map(|name| [name.to_string(), format!("{name}.1")])
        .map(|name| logs.join(name).to_str().expect("UTF-8").to_owned())
        .collect();
    expected.sort();
    assert_eq!(heard, expected);
    for made in ["X", "Y", "Z"] {
        assert!(!Path::new(made).exists() && !logs.join(made).exists(), "{made}");
    }
}

#[test]
fn what_scripts_print_is_no_result() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 8, DAY);
    let config = sandbox.config(
        "LOGS/*.log {\n size 4k\n rotate 3\n postrotate\n  echo from the script\n endscript\n}\n",
    );
    let output = logquota([
        "run".as_ref(),
        "--json".as_ref(),
        "--state".as_ref(),
        sandbox.path("status").as_os_str(),
        config.as_os_str(),
    ]);
    assert_code(&output, 0);
    crate::kit::json(&output);
    assert!(text(&output.stderr).contains("from the script"));
}

#[test]
fn a_script_that_fails_is_exit_1_and_named() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 8, DAY);
    let config =
        sandbox.config("LOGS/*.log {\n size 4k\n rotate 3\n postrotate\n  exit 7\n endscript\n}\n");
    let output = run(&sandbox, &config);
    assert_code(&output, 1);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("postrotate") && stderr.contains("status 7"), "{stderr}");
}

#[test]
fn h31_root_refuses_a_configuration_that_others_can_change() {
    if needs_root() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let good = "LOGS/*.log {\n size 4k\n rotate 9\n quota 256k\n}\n";
    let config = sandbox.config(good);
    let link = sandbox.path("link.conf");
    symlink(&config, &link).expect("linked");
    let including = sandbox.path("including.conf");
    fs::write(&including, format!("include {}\n", config.display())).expect("written");
    for (mode, owner) in [(0o664, 0), (0o646, 0), (0o666, 0), (0o644, 65_534)] {
        fs::set_permissions(&config, fs::Permissions::from_mode(mode)).expect("chmod");
        chown(&config, Some(owner), None).expect("chown");
        for path in [&config, &link, &including] {
            let before = picture_before(&sandbox.logs());
            let output = run(&sandbox, path);
            assert_code(&output, 4);
            let stderr = text(&output.stderr);
            assert!(stderr.contains(".conf"), "{stderr}");
            assert_eq!(before, picture_after(&sandbox.logs()), "{mode:o} {owner}");
        }
    }
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("chmod");
    chown(&config, Some(0), None).expect("chown");
    assert_code(&run(&sandbox, &link), 0);
}

#[test]
fn h32_a_configuration_without_sense_is_exit_4_with_file_line_and_column() {
    for (line, says) in [
        ("quota 10 MB", "10MiB"),
        ("quota 0", "quota"),
        ("quota -1", "quota"),
        ("rotate x", "rotate"),
        ("rotates 5", "rotates"),
        ("reserve 101%", "reserve"),
        ("maxage NaN", "maxage"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.overfull();
        let config = sandbox.config(&format!("LOGS/*.log {{\n {line}\n}}\n"));
        let before = picture_before(&sandbox.logs());
        let output = run(&sandbox, &config);
        assert_code(&output, 4);
        let stderr = text(&output.stderr);
        let place = format!("{}:2:", config.display());
        assert!(stderr.contains(&place) && stderr.contains(says), "{line}: {stderr}");
        assert_eq!(before, picture_after(&sandbox.logs()), "{line}");
    }
}

#[test]
fn a_block_with_an_error_is_left_out_and_the_others_are_done() {
    let sandbox = Sandbox::new();
    sandbox.log("good.log", 8, DAY);
    sandbox.log("bad.log", 8, DAY);
    let config =
        sandbox.config("LOGS/bad.log {\n rotate x\n}\nLOGS/good.log {\n size 4k\n rotate 3\n}\n");
    let output = run(&sandbox, &config);
    assert_code(&output, 4);
    let listing = sandbox.listing();
    assert!(listing.contains_key("good.log.1".as_ref() as &std::ffi::OsStr), "{listing:?}");
    assert!(!listing.contains_key("bad.log.1".as_ref() as &std::ffi::OsStr), "{listing:?}");
}

#[test]
fn a_directory_of_configurations_needs_its_flag() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 8, DAY);
    let dir = sandbox.path("conf.d");
    fs::create_dir(&dir).expect("a folder");
    let config = sandbox.config("LOGS/a.log {\n size 4k\n rotate 3\n}\n");
    fs::rename(config, dir.join("app")).expect("moved");
    let state = sandbox.path("status");
    let args = ["run".as_ref(), "--state".as_ref(), state.as_os_str(), dir.as_os_str()];
    assert_code(&logquota(args), 2);
    let args = ["run".as_ref(), "--state".as_ref(), state.as_os_str(), "--config".as_ref()];
    assert_code(&logquota(args.into_iter().chain([dir.as_os_str()])), 0);
    assert!(sandbox.listing().contains_key("a.log.1".as_ref() as &std::ffi::OsStr));
}

#[test]
fn the_configurations_in_the_documentation_are_read_without_a_remark() {
    use logquota::logrotate::{MemEnv, read};
    for text in [include_str!("../../README.md"), include_str!("../../docs/configuration.md")] {
        let blocks = text.split("```").skip(1).step_by(2);
        let configs: Vec<_> = blocks.filter_map(|block| block.strip_prefix("text\n# ")).collect();
        assert_eq!(configs.len(), 1);
        for config in configs {
            let config = format!("# {config}");
            let env = MemEnv::new().file("/doc", config).dir("/etc/logquota.d", 0o755, 0);
            let parsed = read(&["/doc".into()], &env);
            assert!(!parsed.config.sets.is_empty());
            assert!(parsed.diagnostics.is_empty(), "{}", parsed.diagnostics[0]);
        }
    }
}

#[test]
fn a_configuration_that_is_no_text_is_exit_4_and_names_the_file() {
    let sandbox = Sandbox::new();
    sandbox.overfull();
    let before = picture_before(&sandbox.logs());
    let config = sandbox.path("logquota.conf");
    let circular = format!("include {}\n", config.display());
    for (what, content) in [
        ("binary", vec![0, 159, 146, 150, 255, 10, 0]),
        ("endless", vec![b'x'; 1 << 20]),
        ("open block", b"/logs/x {\n daily\n rotate x".to_vec()),
        ("circular", circular.into_bytes()),
        ("nested", b"{{{{{{{{".to_vec()),
        ("sparse", Vec::new()),
    ] {
        fs::write(&config, content).expect("written");
        if what == "sparse" {
            let file = fs::File::options().write(true).open(&config).expect("opens");
            file.set_len(1 << 30).expect("sparse");
        }
        let output = run(&sandbox, &config);
        assert_code(&output, 4);
        let stderr = text(&output.stderr);
        assert!(stderr.contains("logquota.conf"), "{what}: {stderr}");
        assert!(stderr.len() < 64 << 10, "{what}: {} bytes of errors", stderr.len());
        let plain = |b: &u8| *b >= 0x20 && *b != 0x7f || *b == b'\n';
        assert!(output.stderr.iter().all(plain), "{what}: {stderr}");
    }
    assert_eq!(before, picture_after(&sandbox.logs()));
}

#[test]
fn the_environment_names_a_configuration() {
    let sandbox = Sandbox::new();
    sandbox.log("a.log", 8, DAY);
    let config = sandbox.config("LOGS/a.log {\n size 4k\n rotate 3\n}\n");
    let output = crate::kit::command()
        .args(["run", "-q"])
        .env("LOGQUOTA_CONFIG", &config)
        .env("STATE_DIRECTORY", sandbox.path("state"))
        .output()
        .expect("it ends");
    assert_code(&output, 0);
    assert!(sandbox.listing().contains_key("a.log.1".as_ref() as &std::ffi::OsStr));
    assert!(sandbox.path("state/status").exists());
}

#[test]
fn root_works_on_a_folder_of_somebody_else_only_as_that_user() {
    if needs_root() {
        return;
    }
    let sandbox = Sandbox::new();
    let dir = sandbox.overfull();
    chown(&dir, Some(65_534), Some(65_534)).expect("chown");
    fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(0o711)).expect("chmod");
    for log in sandbox.listing().into_keys() {
        chown(dir.join(log), Some(65_534), Some(65_534)).expect("chown");
    }
    let dir = dir.to_str().expect("UTF-8");
    let before = picture_before(&sandbox.logs());
    let output = logquota(["run", "--quota", "256k", dir]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("--su"), "{}", text(&output.stderr));
    assert_eq!(before, picture_after(&sandbox.logs()));
    assert_code(&logquota(["run", "--quota", "256k", "--su", "65534:65534", dir]), 0);
    assert!(sandbox.used() <= 256 << 10);
}
