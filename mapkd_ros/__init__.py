# SPDX-License-Identifier: Apache-2.0
"""ROS 2 nodes around mapkd_core: messages in, messages out. Everything that can do without ROS lives in mapkd_core."""
