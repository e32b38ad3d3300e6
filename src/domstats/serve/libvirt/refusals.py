"""What a read-only connection may not do, and what libvirt answers then; and which numbers nobody may call.

A number that is in neither table asks for something to be read. Source: what libvirtd 9.0.0 answers on its read-only
socket to a call of each number.
"""

from __future__ import annotations

from collections.abc import Mapping

from domstats.errors import RemoteError
from domstats.wire.failure import RPC_DOMAIN

OPERATION_DENIED, NO_SUPPORT, RPC = 29, 3, 39
"""Of virErrorNumber."""
FROM_DOMAIN = 20
"""Of virErrorDomain: libvirt's calls about domains."""
NEWEST = 455
"""The highest number of libvirt 12.4."""
OLDEST_UNKNOWN = 444
"""What from this number on means is not known here: a daemon behind may know it."""

_DENIED: Mapping[int, str] = {
    20: """
        8 DomainAttachDevice, 9 DomainCreate, 10 DomainCreateXML, 11 DomainDefineXML, 12 DomainDestroy,
        13 DomainDetachDevice, 26 DomainPinVcpu, 27 DomainReboot, 28 DomainResume, 29 DomainSetAutostart,
        30 DomainSetMaxMemory, 31 DomainSetMemory, 32 DomainSetVcpus, 33 DomainShutdown, 34 DomainSuspend,
        35 DomainUndefine, 53 DomainCoreDump, 54 DomainRestore, 55 DomainSave, 58 DomainSetSchedulerParameters,
        61 DomainMigratePrepare, 62 DomainMigratePerform, 63 DomainMigrateFinish, 103 DomainBlockPeek,
        104 DomainMemoryPeek, 108 DomainMigratePrepare2, 109 DomainMigrateFinish2,
        135 ConnectDomainXMLFromNative, 136 ConnectDomainXMLToNative, 148 DomainMigratePrepareTunnel,
        160 DomainAttachDeviceFlags, 161 DomainDetachDeviceFlags, 164 DomainAbortJob,
        166 DomainMigrateSetMaxDowntime, 174 DomainUpdateDeviceFlags, 182 DomainManagedSave,
        184 DomainManagedSaveRemove, 196 DomainCreateWithFlags, 197 DomainSetMemoryParameters,
        199 DomainSetVcpusFlags, 201 DomainOpenConsole, 204 DomainSetMemoryFlags, 205 DomainSetBlkioParameters,
        207 DomainMigrateSetMaxSpeed, 210 DomainInjectNMI, 211 DomainScreenshot, 213 DomainMigrateBegin3,
        214 DomainMigratePrepare3, 215 DomainMigratePrepareTunnel3, 216 DomainMigratePerform3,
        217 DomainMigrateFinish3, 218 DomainMigrateConfirm3, 219 DomainSetSchedulerParametersFlags,
        225 DomainPinVcpuFlags, 226 DomainSendKey, 231 DomainUndefineFlags, 232 DomainSaveFlags,
        233 DomainRestoreFlags, 234 DomainDestroyFlags, 235 DomainSaveImageGetXMLDesc,
        236 DomainSaveImageDefineXML, 237 DomainBlockJobAbort, 239 DomainBlockJobSetSpeed, 240 DomainBlockPull,
        242 DomainMigrateGetMaxSpeed, 245 DomainReset, 249 DomainOpenGraphics, 250 NodeSuspendForDuration,
        251 DomainBlockResize, 252 DomainSetBlockIoTune, 254 DomainSetNumaParameters,
        256 DomainSetInterfaceParameters, 258 DomainShutdownFlags, 261 DomainPMSuspendForDuration,
        264 DomainSetMetadata, 266 DomainBlockRebase, 267 DomainPMWakeup, 277 DomainGetHostname,
        279 DomainPinEmulator, 288 NodeSetMemoryParameters, 290 DomainBlockCommit, 294 DomainFSTrim,
        295 DomainSendProcessSignal, 296 DomainOpenChannel, 300 DomainMigrateSetCompressionCache,
        302 DomainMigrateBegin3Params, 303 DomainMigratePrepare3Params, 304 DomainMigratePrepareTunnel3Params,
        305 DomainMigratePerform3Params, 306 DomainMigrateFinish3Params, 307 DomainMigrateConfirm3Params,
        308 DomainSetMemoryStatsPeriod, 309 DomainCreateXMLWithFiles, 310 DomainCreateWithFiles,
        334 DomainCoreDumpWithFormat, 335 DomainFSFreeze, 336 DomainFSThaw, 337 DomainGetTime, 338 DomainSetTime,
        342 ConnectGetDomainCapabilities, 343 DomainOpenGraphicsFD, 345 DomainBlockCopy, 347 NodeAllocPages,
        349 DomainGetFSInfo, 350 DomainDefineXMLFlags, 352 DomainPinIOThread, 355 DomainAddIOThread,
        356 DomainDelIOThread, 357 DomainSetUserPassword, 358 DomainRename, 364 DomainMigrateStartPostCopy,
        366 DomainSetPerfEvents, 371 DomainGetGuestVcpus, 372 DomainSetGuestVcpus, 384 DomainSetVcpu,
        386 DomainSetBlockThreshold, 389 DomainManagedSaveDefineXML, 390 DomainSetLifecycleAction,
        392 DomainDetachDeviceAlias, 393 ConnectCompareHypervisorCPU, 395 NodeGetSEVInfo,
        396 DomainGetLaunchSecurityInfo, 402 DomainSetIOThreadParams, 418 DomainGetGuestInfo,
        420 DomainAgentSetResponseTimeout, 421 DomainBackupBegin, 424 DomainAuthorizedSSHKeysGet,
        425 DomainAuthorizedSSHKeysSet, 427 DomainStartDirtyRateCalc, 439 DomainSetLaunchSecurityState,
        440 DomainSaveParams, 441 DomainRestoreParams, 442 DomainAbortJobFlags, 443 DomainFDAssociate
    """,
    18: """
        75 ConnectFindStoragePoolSources, 76 StoragePoolCreateXML, 77 StoragePoolDefineXML, 78 StoragePoolCreate,
        79 StoragePoolBuild, 80 StoragePoolDestroy, 81 StoragePoolDelete, 82 StoragePoolUndefine,
        83 StoragePoolRefresh, 90 StoragePoolSetAutostart, 93 StorageVolCreateXML, 94 StorageVolDelete,
        125 StorageVolCreateXMLFrom, 165 StorageVolWipe, 208 StorageVolUpload, 209 StorageVolDownload,
        259 StorageVolWipePattern, 260 StorageVolResize
    """,
    19: """
        39 NetworkCreate, 40 NetworkCreateXML, 41 NetworkDefineXML, 42 NetworkDestroy, 48 NetworkSetAutostart,
        49 NetworkUndefine, 291 NetworkUpdate, 406 NetworkPortCreateXML, 408 NetworkPortSetParameters,
        410 NetworkPortDelete, 432 NetworkDefineXMLFlags, 437 NetworkCreateXMLFlags
    """,
    22: """
        118 NodeDeviceDettach, 119 NodeDeviceReAttach, 120 NodeDeviceReset, 123 NodeDeviceCreateXML,
        124 NodeDeviceDestroy, 301 NodeDeviceDetachFlags, 428 NodeDeviceDefineXML, 429 NodeDeviceUndefine,
        430 NodeDeviceCreate, 433 NodeDeviceGetAutostart, 434 NodeDeviceSetAutostart
    """,
    26: """
        131 InterfaceDefineXML, 132 InterfaceUndefine, 133 InterfaceCreate, 134 InterfaceDestroy,
        220 InterfaceChangeBegin, 221 InterfaceChangeCommit, 222 InterfaceChangeRollback
    """,
    30: """
        142 SecretDefineXML, 144 SecretSetValue, 145 SecretGetValue, 146 SecretUndefine
    """,
    33: """
        180 NWFilterDefineXML, 181 NWFilterUndefine, 399 NWFilterBindingCreateXML, 400 NWFilterBindingDelete,
        431 NWFilterDefineXMLFlags
    """,
    35: """
        185 DomainSnapshotCreateXML, 192 DomainRevertToSnapshot, 193 DomainSnapshotDelete
    """,
    69: """
        411 DomainCheckpointCreateXML, 417 DomainCheckpointDelete
    """,
}
"""By virErrorDomain, the numbers of the calls that write, and their names in libvirt's API, without the leading vir."""

_NUMBERS = (
    107,
    169,
    170,
    171,
    172,
    173,
    195,
    224,
    241,
    248,
    268,
    269,
    270,
    276,
    292,
    311,
    315,
    318,
    319,
    320,
    321,
    322,
    323,
    324,
    325,
    326,
    327,
    328,
    329,
    330,
    331,
    332,
    333,
    339,
    346,
    348,
    354,
    359,
    362,
    363,
    367,
    370,
    373,
    376,
    377,
    379,
    382,
    383,
    385,
    423,
    438,
)
"""Events, and numbers that mean nothing: as calls they do not exist."""

_NOT_CALLS = frozenset(_NUMBERS)


def _table() -> dict[int, tuple[str, int]]:
    found: dict[int, tuple[str, int]] = {}
    for domain, text in _DENIED.items():
        for pair in text.split(","):
            number, name = pair.split()
            found[int(number)] = f"vir{name}", domain
    return found


_WRITES = _table()


def denied(number: int) -> RemoteError | None:
    """libvirt's error for a call that a read-only connection may not make; None for one that it may."""
    if number not in _WRITES:
        return None
    name, domain = _WRITES[number]
    return RemoteError(OPERATION_DENIED, domain, f"operation forbidden: read only access prevents {name}")


def unknown(number: int) -> RemoteError | None:
    """libvirt's error for a number that is no call's, whoever is behind; None for all others."""
    if number in _NOT_CALLS or not 0 < number <= NEWEST:
        return RemoteError(RPC, RPC_DOMAIN, f"unknown procedure: {number}")
    return None


def unsupported(number: int) -> RemoteError:
    """libvirt's error for a call that is known, or for one that is not."""
    if number >= OLDEST_UNKNOWN:
        return RemoteError(RPC, RPC_DOMAIN, f"unknown procedure: {number}")
    text = f"this function is not supported by the connection driver: procedure {number}"
    return RemoteError(NO_SUPPORT, FROM_DOMAIN, text)
