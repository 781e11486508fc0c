# SPDX-License-Identifier: Apache-2.0
"""Stand-in of ROS 2's sensor_msgs_py for machines without a distribution: the module point_cloud2, no more."""
