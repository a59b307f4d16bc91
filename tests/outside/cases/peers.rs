//! What the peers' own test suites assert, in our words, as far as it applies here and no other module says it already. The
//! assertions are rows of tables: the modules `peers_*` hold one for each subject, and each table is answered by few runs.
//!
//! | peer | its tests | case |
//! |---|---|---|
//! | docker | `TestRunWithDefaultShmSize`, `TestRunWithShmSize` | `peers_mounts::what_a_new_root_is_given` |
//! | crun | `proc_readonly_should_inherit_options_from_parent` | the same |
//! | bubblewrap | `test-run` (no oldroot, no newroot) | the same |
//! | runc | `mask` (umount) | `peers_mounts::what_is_masked_stays` |
//! | docker | `TestRunProcNotWritable..`, `TestRunSys..`, `TestRunPrivilegedCan..` | the same |
//! | docker | `TestRunTmpfsMounts`, `TestRunTmpfsMountsWithOptions` | `peers_mounts::memory_with_options` |
//! | runc | `run` (tmpfs, tmpfs perms), `mounts` (tmpfs with a link) | the same |
//! | crun | `mount_{rw,exec,noexec,suid,nosuid,dev,nodev}`, `mount_tmpfs_permissions` | the same |
//! | podman | `run_volume` (suid, dev, exec; `--mount`) | the same |
//! | crun | `mount_fifo`, `mount_unix_socket`, `mount_ro` | `peers_mounts::volumes_of_every_kind` |
//! | crun | `mount_path_with_multiple_slashes` | the same, and `memory_with_options` |
//! | docker | `TestRunMountOrdering`, `TestRunCreateVolumeWithSymlink`, `TestRunBindMounts` | the same |
//! | docker | `TestVolumesNoCopyData`, `TestRunReuseBindVolumeThatIsSymlink`, `TestRunAllowBindMountingRoot` | the same |
//! | docker | `TestRunContainerWithReadonlyRootfs..`, `TestRunWrite..FileAndNotCommit` | `peers_mounts::a_read_only_root_..` |
//! | podman | `run` (a read-only root has a writable /dev/shm) | the same |
//! | crun | `uid`, `gid`, `exec_set_user` | `peers_ids::a_user_by_number` |
//! | docker | `TestRunUserBy..`, `TestRunUnprivilegedWithChroot` | the same |
//! | podman | `run` (user, verify caps dropped; user:group) | the same |
//! | docker | `TestRunCapDrop..`, `TestRunCapAdd..`, `TestRun..CanDownInterface` | `peers_ids::capabilities_by_name` |
//! | runc | `capabilities` | the same |
//! | crun | `no_caps`, `some_caps_..`, `new_privs` | the same |
//! | bubblewrap | `test-run` (`--cap-drop`) | the same |
//! | docker | `TestRunEnvironment`, `TestRunEnvironmentOverride` | `peers_ids::variables_in_a_root` |
//! | runc | `env` | the same |
//! | tini | `run_inner_tests` (signal configuration) | `peers_ids::signals_that_the_caller_ignores_or_blocks` |
//! | runc | `tty` (owner, stdin) | `peers_ids::whose_terminal_it_is` |
//! | crun | `stdin_tty`, `stdout_tty`, `stderr_tty` | the same |
//! | runc | `exec` (user, env, cwd), `capabilities` (exec --cap) | `peers_ids::what_exec_is_given` |
//! | crun | `exec_add_env`, `exec_set_user`, `exec_no_new_privs`, `uid_tty` | the same |
//! | docker | `TestRunWithCPUQuota`, `..CPUShares`, `..Cpuset..`, `..Memory..` | `peers_limits::where_docker_shows_them` |
//! | runc | `mounts` (ro cgroup), `cgroups`, `update` (quota with no period) | the same |
//! | crun | `ro_cgroup`, `resources_pid_limit` | the same |
//! | crun | `resources_cpu_quota_minus_one` | `peers_limits::a_quota_that_is_lifted` |
//! | crun | `rlimits` | `peers_limits::limits_of_every_resource` |
//! | docker | `TestRunSysctls` | `peers_limits::parameters_of_the_kernel` |
//! | crun | `not_allowed_ipc_sysctl`, `unknown_sysctl`, `uts_sysctl` | that, and `peers_limits::what_is_refused` |
//! | docker | `TestRunNoDupVolumes`, `TestRunTmpfsMounts`, `TestRunWithInvalidCpuPeriod` | `peers_limits::what_is_refused` |

use crate::support::harness::Run;

/// What is asserted, a question to the probe `ask`, and its answer.
pub type Row<'a> = (&'a str, &'a str, &'a str);

/// Asks all questions in one run, and asserts that each row has its answer.
#[track_caller]
pub fn assert_rows(run: impl FnOnce(&[&str]) -> Run, rows: &[Row]) {
    let words: Vec<&str> = std::iter::once("ask").chain(rows.iter().map(|row| row.1)).collect();
    let text = run(&words).finish().success().replace('\r', "");
    let answers: Vec<&str> = text.lines().collect();
    assert_eq!(answers.len(), rows.len(), "an answer to each question: {text}");
    let is_wrong = |((_, _, expected), answer): &(&Row, &&str)| expected != *answer;
    let say = |((assertion, question, expected), answer): (&Row, &&str)| {
        format!("{assertion}: {question}: {answer:?}, not {expected:?}")
    };
    let wrong: Vec<String> = rows.iter().zip(&answers).filter(is_wrong).map(say).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
