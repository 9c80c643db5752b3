"""Roles of Dagster's webserver: what each of its routes, GraphQL mutations and permissions needs.

What is not listed needs the role admin; `tests/unit/gateway/test_dagster_roles.py` fails when a new version of Dagster
brings something that is not listed.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.gateway.holder import Role

#: Mutations. An operator starts and ends runs, and tries out schedules; what changes the instance or its history is
#: an admin's. Reporting an event of an asset forges its history.
MUTATIONS: Mapping[str, Role] = {
    "addDynamicPartition": "admin",
    "cancelPartitionBackfill": "operator",
    "deleteAppManagedComponent": "admin",
    "deleteConcurrencyLimit": "admin",
    "deleteDynamicPartitions": "admin",
    "deletePipelineRun": "admin",
    "deleteRun": "admin",
    "freeConcurrencySlots": "admin",
    "freeConcurrencySlotsForRun": "admin",
    "launchMultipleRuns": "operator",
    "launchPartitionBackfill": "operator",
    "launchPipelineExecution": "operator",
    "launchPipelineReexecution": "operator",
    "launchRun": "operator",
    "launchRunReexecution": "operator",
    "logTelemetry": "admin",
    "reexecutePartitionBackfill": "operator",
    "refreshComponentState": "admin",
    "reloadRepositoryLocation": "admin",
    "reloadWorkspace": "admin",
    "reportAssetCheckEvaluations": "admin",
    "reportRunlessAssetEvents": "admin",
    "resetSchedule": "admin",
    "resetSensor": "admin",
    "resumePartitionBackfill": "operator",
    "scheduleDryRun": "operator",
    "sensorDryRun": "operator",
    "setAppManagedComponent": "admin",
    "setAutoMaterializePaused": "admin",
    "setConcurrencyLimit": "admin",
    "setNuxSeen": "admin",
    "setSensorCursor": "admin",
    "shutdownRepositoryLocation": "admin",
    "startSchedule": "admin",
    "startSensor": "admin",
    "stopRunningSchedule": "admin",
    "stopSensor": "admin",
    "terminatePipelineExecution": "operator",
    "terminateRun": "operator",
    "terminateRuns": "operator",
    "wipeAssets": "admin",
}

#: Paths of routes; files of the UI are a viewer's. A notebook is any file that the code server reads.
ROUTES: Mapping[str, Role] = {
    "/": "viewer",
    "/dagit/notebook": "admin",
    "/dagit_info": "viewer",
    "/download_debug/{run_id:str}": "viewer",
    "/graphql": "viewer",
    "/logs/{path:path}": "viewer",
    "/notebook": "admin",
    "/report_asset_check/{asset_key:path}": "admin",
    "/report_asset_materialization/{asset_key:path}": "admin",
    "/report_asset_observation/{asset_key:path}": "admin",
    "/server_info": "viewer",
    "/{path:path}": "viewer",
}

#: Dagster's names of permissions, which the UI asks for to enable its buttons, and its resolvers check.
PERMISSIONS: Mapping[str, Role] = {
    "cancel_partition_backfill": "operator",
    "delete_pipeline_run": "admin",
    "edit_app_managed_components": "admin",
    "edit_concurrency_limit": "admin",
    "edit_dynamic_partitions": "admin",
    "edit_sensor": "admin",
    "launch_partition_backfill": "operator",
    "launch_pipeline_execution": "operator",
    "launch_pipeline_reexecution": "operator",
    "refresh_component_state": "admin",
    "reload_repository_location": "admin",
    "reload_workspace": "admin",
    "report_runless_asset_events": "admin",
    "schedule_dry_run": "operator",
    "sensor_dry_run": "operator",
    "start_schedule": "admin",
    "stop_running_schedule": "admin",
    "terminate_pipeline_execution": "operator",
    "toggle_auto_materialize": "admin",
    "update_sensor_cursor": "admin",
    "wipe_assets": "admin",
}
